package standin

import "strings"

// The hooks of the monthly profile-status notifications (docs/groupserver.md section 11). They differ from the digest's
// in what a client can trip over: the send hook has no duplicate check, so each send that works mails; it refuses an
// absent token; and its answers hold the person's name.

// The profile hooks' paths.
const (
	PeoplePath  = "/gs-profile-status-members.html"
	ProfilePath = "/gs-profile-status-send.html"
)

// people is the site of a person's Group, which no digest hook is asked for.
const people = "people"

// Person is the name by which a site knows a person: in its log, its costs and its mails. A fault's pattern for people
// is people/ID.
func Person(id string) Group { return Group{Site: people, Group: id} }

// The statuses of the send hook besides 0, which is sent.
const (
	unknownPerson = -2
	noGroups      = -4
	noAddress     = -8
	noActivity    = -16
	optedOut      = -32
)

// profileFields are those of the send hook for profiles, in the order in which it finds fault with them.
var profileFields = [2]struct{ name, label string }{
	{"profileId", "Profile identifier"},
	{"token", "Token"},
}

// peopleHook is the list hook for profiles: that of the digests with another list.
func (s *Site) peopleHook(q *request, token string) *reply {
	if _, sent := q.fields.get("get"); !sent {
		return s.pages.aboutPeople
	}
	return s.groupsHook(q, token)
}

// profileHook is the send hook for profiles.
func (s *Site) profileHook(q *request, token string) *reply {
	if _, sent := q.fields.get("send"); !sent {
		return s.pages.aboutProfile
	}
	var faults []string
	for _, f := range profileFields {
		value, sent := q.fields.get(f.name)
		switch {
		case f.name == "token" && sent && value == "": // twice, as the list hooks say it
			faults = append(faults, f.label+": "+requiredInput, f.label+": "+requiredInput)
		case value == "":
			faults = append(faults, f.label+": "+requiredInput)
		case !ascii(value) && f.name == "token":
			return s.pages.groupsError
		case !ascii(value):
			faults = append(faults, f.label+": "+invalidText)
		case f.name == "token" && value != token:
			faults = append(faults, f.label+`: The authentication token \"`+strings.ReplaceAll(value, `"`, `\"`)+
				`\" does not match the one in the database.`, f.label+": "+requiredInput)
		}
	}
	if faults != nil {
		return s.pages.profileRefused.with(strings.Join(faults, "\",\n      \n      \""))
	}
	return s.send(q)
}

// statusOf is the status of a person: what the send hook says.
func (s *Site) statusOf(q *request) int {
	switch {
	case !s.isKnown(q.group):
		return unknownPerson
	case s.status == nil:
		return 0
	}
	return s.status(q.id.Group)
}

// said is the send hook's answer of a status.
func (p *pages) said(status int, id string) *reply {
	page, ok := p.profile[status]
	if !ok {
		panic("standin: no recorded answer has the status that Options.Status gave")
	}
	quoted := appendPython(nil, id)
	return page.with(string(quoted[1 : len(quoted)-1]))
}

// peopleJSON is the people hook's right answer.
func peopleJSON(listed []Group) []byte {
	b := []byte{'['}
	for i, g := range listed {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendPython(b, g.Group)
	}
	return append(b, ']')
}
