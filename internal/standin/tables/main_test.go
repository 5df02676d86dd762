package tables_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/standin/tables"
	"github.com/groupserver/senddigest/internal/standin/tables/tablestest"
	"go.uber.org/goleak"
)

var postgres tablestest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgres.Around(m)) }

var (
	alpha = standin.Group{Site: "example_site", Group: "alpha"}
	beta  = standin.Group{Site: "example_site", Group: "beta"}
	night = time.Date(2026, time.June, 15, 3, 30, 0, 0, time.UTC)
)

const hour = time.Hour

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func add(t testing.TB, d *tables.DB, rows ...tables.Row) {
	t.Helper()
	if err := d.Add(patient(t), rows...); err != nil {
		t.Fatal(err)
	}
}

// onDigest is a member of the group who gets digests.
func onDigest(g standin.Group) tables.Row {
	return tables.Setting{User: "u1", Group: g, Setting: "digest"}
}

// ready makes a digest due to the groups at that time.
func ready(t testing.TB, d *tables.DB, at time.Time, groups ...standin.Group) {
	t.Helper()
	for _, g := range groups {
		add(t, d, onDigest(g))
		if err := d.Publish(patient(t), tables.Post{Group: g, User: "u2", Date: at.Add(-hour)}); err != nil {
			t.Fatal(err)
		}
	}
}

// sends reports whether a send at that time mails, and leaves its row.
func sends(t testing.TB, d *tables.DB, g standin.Group, now time.Time) bool {
	t.Helper()
	p, err := d.Prepare(g, now)
	if err != nil {
		t.Fatal(err)
	}
	if p == nil {
		return false
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	return true
}

func digests(t testing.TB, d *tables.DB) []tables.Digest {
	t.Helper()
	rows, err := d.Digests(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func prepared(t testing.TB, d *tables.DB) int {
	t.Helper()
	ids, err := d.Prepared(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	return len(ids)
}

// serve puts a site on a pipe. The function sends to a group and returns the answer's status.
func serve(t testing.TB, o standin.Options) (*standin.Site, func(standin.Group) int) {
	t.Helper()
	s := standin.New(o)
	l := standin.Pipe()
	v := s.Serve(l)
	tr := &http.Transport{DialContext: l.DialContext}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		v.Close()
		s.Close()
	})
	client := &http.Client{Transport: tr}
	return s, func(g standin.Group) int {
		form := url.Values{
			"form.siteId": {g.Site}, "form.groupId": {g.Group}, "form.token": {standin.DefaultToken}, "form.actions.send": {"Send"},
		}
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, v.URL+standin.SendPath, strings.NewReader(form.Encode()))
		if err != nil {
			t.Error(err)
			return 0
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return 0
		}
		defer res.Body.Close()
		return res.StatusCode
	}
}
