package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
)

// The two hooks of the monthly profile-status notifications (docs/groupserver.md section 11). Unlike a digest's, an
// answer says what became of the mail, and the server has no duplicate check: each repeat of a send mails again.

// A Profile is the id of a person's profile. It is personal data, as every text is that the hooks answer.
type Profile string

// Key is the id.
func (p Profile) Key() string { return string(p) }

// A ProfileAnswer is what the send hook says became of a notification. The zero value is no answer.
type ProfileAnswer uint8

// The answers of the hook.
const (
	_                ProfileAnswer = iota
	ProfileSent                    // handed to the server's mail queue
	ProfileUnknown                 // no such person
	ProfileNoGroups                // not in any group; in practice the server never says so
	ProfileNoAddress               // no verified address
	ProfileInactive                // no activity this month
	ProfileOptedOut                // the person wants no notifications
)

var profileAnswers = [...]struct {
	status float64 // as the hook writes it
	reason string
}{
	ProfileSent:      {0, ""},
	ProfileUnknown:   {-2, "the site knows no such person"},
	ProfileNoGroups:  {-4, "not in any group"},
	ProfileNoAddress: {-8, "no verified address"},
	ProfileInactive:  {-16, "no activity this month"},
	ProfileOptedOut:  {-32, "opted out"},
}

// Reason returns why nothing was mailed, in words that name nobody; empty for [ProfileSent] and for no answer.
func (a ProfileAnswer) Reason() string { return profileAnswers[a].reason }

// Skipped reports whether the site left out a person whom it knows.
func (a ProfileAnswer) Skipped() bool { return a >= ProfileNoGroups }

// profileLabel is how the hook's errors call the field of the profile id.
const profileLabel = "Profile identifier"

// ProfileMembers fetches the people to whom notifications are to be sent, in the server's order, each once: whoever
// is listed twice would be mailed twice. It only reads, so it may be called again at any time.
func (c *Client) ProfileMembers(ctx context.Context) (*List[Profile], error) {
	list, err := call(ctx, c, profileMembers, "token="+c.token.escaped()+"&get=", readList((*listDecoder).profile))
	if err != nil {
		return nil, err
	}
	seen := make(map[Profile]bool, len(list.Entries))
	once := list.Entries[:0]
	for _, p := range list.Entries {
		if !seen[p] {
			once = append(once, p)
		}
		seen[p] = true
	}
	list.Entries = once
	return list, nil
}

// SendProfile asks the server to send one person's notification. A nil error means that the hook said what became of
// it. The errors are [*RejectedError], [*NotOKError], [*UnexpectedPageError], [*RedirectError] and [*TransportError].
// After an UnexpectedPageError, and after a TransportError of a request that left, the mail may have gone.
func (c *Client) SendProfile(ctx context.Context, p Profile) (ProfileAnswer, error) {
	form := "profileId=" + url.QueryEscape(string(p)) + "&token=" + c.token.escaped() + "&send=Send"
	return call(ctx, c, profileSend, form, (*Client).readProfile, string(p))
}

// spoilt is a refusal that is not JSON, because the hook does not escape the token that it repeats. It is whole, and what
// makes it a refusal stands before what is repeated: half of a confirmation is not JSON either.
var spoilt = regexp.MustCompile(`(?s)^\s*\{\s*"status":\s*(?:-1|100),\s*"message":\s*\[.*\}\s*$`)

// readProfile judges what the send hook answered with 200. A status counts only beside a message of the kind that the
// hook puts there: a list is of a form that was refused, and of a notification there is one string.
func (c *Client) readProfile(h hook, r io.Reader, contentType string) (ProfileAnswer, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxObject))
	if err != nil {
		return 0, err
	}
	var answer object
	if json.Unmarshal(body, &answer) != nil {
		if !json.Valid(body) && spoilt.Match(body) {
			return 0, &RejectedError{Hook: h.String(), Token: true}
		}
		return 0, &UnexpectedPageError{h.String(), c.describe(h, page{}, contentType)}
	}
	if answer.Status == nil {
		return 0, answer.unexpected(h)
	}
	status := *answer.Status
	texts, refused := answer.errors()
	if refused = refused || status == released || status == designed; refused && profileAnswerOf(status) == 0 {
		return 0, c.refusal(h, status, texts)
	}
	if _, one := answer.Message.(string); one && profileAnswerOf(status) != 0 {
		return profileAnswerOf(status), nil
	}
	return 0, &UnexpectedPageError{h.String(), fmt.Sprintf("an object that is not the hook's, with status %v", status)}
}

// profileAnswerOf is the answer that a status of the send hook stands for; 0: none.
func profileAnswerOf(status float64) ProfileAnswer {
	for a, row := range profileAnswers[ProfileSent:] {
		if row.status == status {
			return ProfileSent + ProfileAnswer(a)
		}
	}
	return 0
}
