package campaign

import (
	"context"
	"net/http"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// Profile is the campaign of the monthly profile-status notifications (docs/groupserver.md section 11). The server has no
// duplicate check for them, and whom they go to is personal data.
func Profile(client *hooks.Client) Campaign {
	return Campaign{
		Name: "profile", Mail: "notification", Things: printable.NewNoun("person", "people"), Program: "sendprofile",
		List: listOf(client.ProfileMembers, func(p hooks.Profile) state.Group { return state.Group{Group: string(p)} }),
		Send: func(ctx context.Context, p state.Group) dispatcher.Verdict {
			defer scrubPanic(client)
			return judgeProfile(client.SendProfile(ctx, hooks.Profile(p.Group)))
		},
		Private: true,
	}
}

// judgeProfile says what an answer of the send hook makes of a person. Whom the site left out is skipped: that is no
// failure.
func judgeProfile(answer hooks.ProfileAnswer, err error) dispatcher.Verdict {
	v := dispatcher.Verdict{Status: http.StatusOK, Health: ratelimit.Up, Reason: answer.Reason()}
	switch {
	case err != nil || answer == 0:
		return judge(0, err)
	case answer == hooks.ProfileSent:
		v.Outcome = dispatcher.Accepted
	case answer.Skipped():
		v.Outcome = dispatcher.Skipped
	default:
		v.Outcome = dispatcher.UnknownGroup
	}
	return v
}
