package campaign

import (
	"context"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/guard"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// Digest is the campaign of the daily digests. The server's guard goes by a clock in a zone; nil means this machine's.
func Digest(client *hooks.Client, zone *time.Location) Campaign {
	return Campaign{
		Name: "digest", Mail: "digest", Things: printable.NewNoun("group", "groups"),
		List: listOf(client.DigestGroups, func(g hooks.Group) state.Group { return state.Group(g) }),
		Send: func(ctx context.Context, g state.Group) dispatcher.Verdict {
			defer scrubPanic(client)
			return judgeDigest(client.SendDigest(ctx, hooks.Group(g)))
		},
		Guard: guard.New(guard.NewClock(zone, 0)),
	}
}

// judgeDigest says what an answer of the send hook makes of its group, by docs/groupserver.md section 3.
func judgeDigest(reply hooks.Reply, err error) dispatcher.Verdict {
	switch {
	case err != nil || reply.Status != 200: // a reply without an error has 200
		return judge(reply.Status, err)
	case !reply.Confirmed:
		return dispatcher.Verdict{
			Outcome: dispatcher.UnknownGroup, Status: reply.Status, Health: ratelimit.Up,
			Reason: "the site knows no such group; nothing was mailed",
		}
	}
	return dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: reply.Status, Health: ratelimit.Up}
}
