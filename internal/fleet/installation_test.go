package fleet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/fleet"
)

func TestWhoOnlyLooksForAnInstallationEntersNone(t *testing.T) {
	t.Parallel()
	db := server.Fresh(t)
	unknown := func(err error, others int) *fleet.UnknownError {
		t.Helper()
		e, ok := errors.AsType[*fleet.UnknownError](err)
		if !ok || len(e.Others) != others || e.ExitCode() != 78 || strings.Contains(e.Error()+e.Hint(), "mistyped") {
			t.Fatalf("got %v, want %d others", err, others)
		}
		return e
	}
	_, err := db.Lookup(t.Context(), "mistyped")
	if e := unknown(err, 0); strings.Contains(e.Error(), "another token") || !strings.Contains(e.Hint(), "run or work enters") {
		t.Errorf("got %v, hint %q", e, e.Hint())
	}
	first, err := db.LookupOrFirst(t.Context(), "a")
	if err != nil || first == 0 {
		t.Fatalf("the first installation: got %d, %v", first, err)
	}
	if again, err := db.LookupOrFirst(t.Context(), "a"); err != nil || again != first {
		t.Errorf("the same once more: got %d, %v, want %d", again, err, first)
	}
	_, err = db.Lookup(t.Context(), "mistyped") // one that nobody has sent for shows no URL
	unknown(err, 0)
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		id, err := db.Installation(t.Context(), fleet.Site{Name: name, URL: fmt.Sprintf("http://%d.example.com/", i/2)})
		if err != nil {
			t.Fatal(err)
		}
		if found, err := db.Lookup(t.Context(), name); err != nil || found != id {
			t.Errorf("%s: got %d, %v, want %d", name, found, err, id)
		}
	}
	for _, look := range []func() (int64, error){
		func() (int64, error) { return db.Lookup(t.Context(), "mistyped") },
		func() (int64, error) { return db.LookupOrFirst(t.Context(), "mistyped") },
	} {
		_, err := look()
		const want = "; one with another token is there, of http://0.example.com/, http://1.example.com/, http://2.example.com/"
		if e := unknown(err, 3); !strings.HasSuffix(e.Error(), want) || !strings.Contains(e.Hint(), "compare the token") {
			t.Errorf("got %v, hint %q", e, e.Hint())
		}
	}
	if e := (&fleet.UnknownError{Others: strings.Split("abcde", "")}); !strings.HasSuffix(e.Error(), "of a, b, c and 2 more") {
		t.Errorf("got %v", e)
	}
	if all, err := db.Statuses(t.Context(), ""); err != nil || len(all) != 5 {
		t.Errorf("got %d installations, %v", len(all), err)
	}
}

func TestASecondInstallationOfAURLIsADoubleUntilItsFirstList(t *testing.T) {
	t.Parallel()
	g := newGate(t, 0, fleet.Limits{Workers: 1}, fleet.Rule{})
	enter := func(name, url string) int64 {
		t.Helper()
		id, err := g.Installation(t.Context(), fleet.Site{Name: name, URL: url})
		g.must(err)
		return id
	}
	double := func(id int64, want string) {
		t.Helper()
		if got, err := g.Double(t.Context(), id); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	const url = "http://site/" // of the gate
	double(g.installation, "")
	double(enter("other", "http://other.example.com/"), "")
	double(enter("nowhere", ""), "")
	double(enter("nowhere else", ""), "")
	second := enter("second", url)
	double(second, url)
	double(g.installation, url)
	g.must(g.Add(t.Context(), g.night, []fleet.Task{{Site: "main", Name: "a"}}))
	double(g.installation, "")
	_, err := g.Join(t.Context(), second, "digest", fleet.Rule{}, false) // the site refuses such a run its list
	g.must(err)
	double(second, url)
}
