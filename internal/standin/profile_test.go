package standin_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groupserver/senddigest/internal/standin"
)

func sendProfile(c *http.Client, id string) answer {
	return post(context.Background(), c, base+standin.ProfilePath, profileForm(id))
}

// docs/groupserver.md section 11: each repeat of a sent one mails again.
func TestProfilesHaveNoDuplicateCheck(t *testing.T) {
	s, c := pipeSite(t, standin.Options{
		People: []string{"u1", "idle"}, Status: func(id string) int { return map[string]int{"idle": -16}[id] },
	})
	for range 3 {
		for _, id := range []string{"u1", "idle", "nobody"} {
			if got := sendProfile(c, id); got.status != 200 || !strings.Contains(got.body, "("+id+")") {
				t.Errorf("%s: got %d, %s", id, got.status, got.body)
			}
		}
	}
	if diff := cmp.Diff(map[standin.Group]int{standin.Person("u1"): 3}, s.Mails()); diff != "" {
		t.Errorf("mails, want -, got +: %s", diff)
	}
}

func TestTheSendHookForProfilesNeverSendsWithoutTheRightToken(t *testing.T) {
	for name, want := range map[string]string{
		"":    "Required input is missing.",
		"bad": `The authentication token \"bad\" does not match the one in the database.`,
		"tök": "Site Error",
	} {
		s, c := pipeSite(t, standin.Options{People: []string{"u1"}})
		got := post(context.Background(), c, base+standin.ProfilePath, with(profileForm("u1"), "token", name))
		if !strings.Contains(got.body, want) {
			t.Errorf("%q: got %s, want %s", name, got.body, want)
		}
		if len(s.Mails()) > 0 {
			t.Errorf("%q: mailed", name)
		}
	}
	s, c := pipeSite(t, standin.Options{People: []string{"u1"}})
	got := post(context.Background(), c, base+standin.ProfilePath, with(profileForm("u1"), "profileId", "grün"))
	if want := "Profile identifier: Invalid textual data"; !strings.Contains(got.body, want) || len(s.Mails()) > 0 {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

// A fault does to a person's send what its table says of a group's.
func TestFaultsOfProfilesMailAsTheirTableSays(t *testing.T) {
	for _, kind := range standin.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fault := standin.Fault{Pattern: "people/u*", Kind: kind, URL: "http://elsewhere.example.com/", Times: 1}
				s, c := pipeSite(t, standin.Options{People: []string{"u1", "v1"}, Faults: []standin.Fault{fault}})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				post(ctx, c, base+standin.ProfilePath, profileForm("u1"))
				time.Sleep(time.Minute) // for a database to come back
				sendProfile(c, "v1")
				s.Close()
				want := map[standin.Group]int{standin.Person("v1"): 1}
				if kind.Mails() || strings.Contains("half-json dicts huge", kind.String()) { // these are the lists'
					want[standin.Person("u1")] = 1
				}
				if got := s.Mails(); !maps.Equal(got, want) {
					t.Errorf("mails: got %v, want %v", got, want)
				}
			})
		})
	}
}

func TestTheListOfPeopleCanGoWrong(t *testing.T) {
	for fault, want := range map[string]string{
		"list=500":         "Site Error",
		"list=wrong-token": "does not match",
		"list=blank":       `"actions"`,
		"list=half-json":   `["u1`,
		"list=dicts":       `{"siteId": "people", "groupId": "u1"}`,
		"people/u1=500":    `["u1", "u2"]`,
	} {
		_, c := pipeSite(t, standin.Options{People: []string{"u1", "u2"}, Faults: faults(t, fault)})
		if got := post(context.Background(), c, base+standin.PeoplePath, listForm()); !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d, %s", fault, got.status, got.body)
		}
	}
}
