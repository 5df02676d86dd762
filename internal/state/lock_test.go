package state_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/state"
)

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAnInstallationIsTheSameUnderAllItsHostNames(t *testing.T) {
	a := state.NewInstallation("digest", parse(t, "https://groups.example.com/"))
	for _, row := range []struct {
		name, digest, url string
		token, site       bool // the same as a's
	}{
		{"another host name", "digest", "https://lists.example.org/", true, false},
		{"another token", "other", "https://groups.example.com/", false, true},
		{"http", "other", "http://groups.example.com", false, true},
		{"capitals, port and final dot", "other", "HTTPS://Groups.Example.Com.:443/", false, true},
		{"another port", "other", "https://groups.example.com:8443/", false, false},
		{"http's port over https", "other", "https://groups.example.com:80/", false, false},
		{"a prefix", "other", "https://groups.example.com/site/", false, false},
		{"no token", "", "https://groups.example.com/", false, true},
	} {
		b := state.NewInstallation(row.digest, parse(t, row.url))
		if got := b.Token == a.Token; got != row.token {
			t.Errorf("%s: same token key: got %v, want %v", row.name, got, row.token)
		}
		if got := b.Site == a.Site; got != row.site {
			t.Errorf("%s: same site key: got %v, want %v", row.name, got, row.site)
		}
		if got := a.Matches(b); got != (row.token || row.site) {
			t.Errorf("%s: matches: got %v", row.name, got)
		}
	}
	if len(a.Token) != 16 || len(a.Site) != 16 || strings.Contains(a.Token, "digest") {
		t.Errorf("keys %+v", a)
	}
	if (state.Installation{}).Matches(a) != true || a.Matches(state.Installation{}) {
		t.Error("the zero value must match all, and be matched by nothing else")
	}
}

func TestOneRunAtATimeAndTheOtherIsToldWhoHoldsTheLock(t *testing.T) {
	d := open(t)
	child := start(t, childLocks, d.Path(), run1)
	if got := child.line(); got != "locked" {
		t.Fatal(got)
	}
	tokenOnly, siteOnly := here, here
	tokenOnly.Site, siteOnly.Token = "0000000000000000", "0000000000000000"
	for _, in := range []state.Installation{here, tokenOnly, siteOnly} {
		_, err := d.Lock(t.Context(), in, holder("20261123T020001Z-0000"), 0)
		held, ok := errors.AsType[*state.HeldError](err)
		if !ok {
			t.Fatalf("%+v: got %v, want a HeldError", in, err)
		}
		want := holder(run1)(held.Since)
		want.PID = child.cmd.Process.Pid
		if diff := cmp.Diff(want, held.Holder); diff != "" {
			t.Error(diff)
		}
		for _, part := range []string{run1, "https://groups.example.com/", "process "} {
			if !strings.Contains(held.Error(), part) {
				t.Errorf("%q does not say %q", held.Error(), part)
			}
		}
	}
	other := state.Installation{Token: "1111111111111111", Site: "2222222222222222"}
	l, err := d.Lock(t.Context(), other, holder(run1), 0)
	if err != nil {
		t.Fatalf("another installation: %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestKillingTheHolderFreesTheLock(t *testing.T) {
	d := open(t)
	for range 3 {
		child := start(t, childLocks, d.Path(), run1)
		if got := child.line(); got != "locked" {
			t.Fatal(got)
		}
		child.kill()
		l, err := d.Lock(t.Context(), here, holder("20261123T030000Z-0001"), 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Lock(t.Context(), here, holder("20261123T030000Z-0002"), 0)
		held, ok := errors.AsType[*state.HeldError](err)
		if !ok || held.Run != "20261123T030000Z-0001" || held.PID != os.Getpid() {
			t.Errorf("after a kill: got %v, want the new holder", err)
		}
		if err := errors.Join(l.Unlock(), l.Unlock()); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatStandsInALockFileIsNeverAReasonToRefuse(t *testing.T) {
	d := open(t)
	for _, text := range []string{"", "{", `{"pid":1,"run":"x"}`, strings.Repeat("x", 1<<16), "{\"pid\":-1}\n"} {
		for _, path := range d.LockPaths(here) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l, err := d.Lock(t.Context(), here, holder(run1), 0)
		if err != nil {
			t.Fatalf("%.20q: %v", text, err)
		}
		_, err = d.Lock(t.Context(), here, holder(run1), 0)
		if held, ok := errors.AsType[*state.HeldError](err); !ok || held.Run != run1 {
			t.Errorf("%.20q: got %v, want the holder", text, err)
		}
		if err := l.Unlock(); err != nil {
			t.Error(err)
		}
	}
}

func TestAHolderThatCannotBeNamedIsStillAHolder(t *testing.T) {
	for _, text := range []string{"", "garbage", "\x1b[2J"} {
		d := open(t)
		l, err := d.Lock(t.Context(), here, holder(run1), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range d.LockPaths(here) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Test(t, func(t *testing.T) {
			_, err := d.Lock(t.Context(), here, holder(run1), 0)
			if held, ok := errors.AsType[*state.HeldError](err); !ok || held.Error() != "another run holds the lock" {
				t.Errorf("%q: got %v", text, err)
			}
		})
		_ = l.Unlock()
	}
}

func TestTheMessageOfAHeldLockIsOneHarmlessLine(t *testing.T) {
	e := &state.HeldError{Holder: state.Holder{PID: 1, Run: "a\nb", URL: "\x1b[2J"}}
	if strings.ContainsAny(e.Error(), "\n\x1b") {
		t.Errorf("%q", e.Error())
	}
}

func TestWaitingForTheLockEndsWhenItIsFreeWhenTimeIsOverOrWithTheContext(t *testing.T) {
	d := open(t)
	l, err := d.Lock(t.Context(), here, holder(run1), 0)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, err := d.Lock(t.Context(), here, holder(run1), 10*time.Minute)
		if _, ok := errors.AsType[*state.HeldError](err); !ok || time.Since(begin) != 10*time.Minute {
			t.Errorf("time over: got %v after %v", err, time.Since(begin))
		}

		begin = time.Now()
		cause := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(cause) })
		if _, err := d.Lock(ctx, here, holder(run1), time.Hour); err != cause || time.Since(begin) != time.Minute {
			t.Errorf("context: got %v after %v", err, time.Since(begin))
		}

		begin = time.Now()
		time.AfterFunc(time.Minute, func() {
			if err := l.Unlock(); err != nil {
				t.Error(err)
			}
		})
		free, err := d.Lock(t.Context(), here, holder(run1), time.Hour)
		if err != nil || time.Since(begin) > time.Minute+time.Second {
			t.Fatalf("free: got %v after %v", err, time.Since(begin))
		}
		_ = free.Unlock()
	})
}

func TestAHolderIsNamedFromWhenItHadTheLockHoweverLongItWaited(t *testing.T) {
	d := open(t)
	first, err := d.Lock(t.Context(), here, holder(run1), 0)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		free := time.Now().Add(10 * time.Minute)
		time.AfterFunc(10*time.Minute, func() { _ = first.Unlock() })
		second, err := d.Lock(t.Context(), here, holder(later), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Lock(t.Context(), here, holder(latest), 0)
		held, ok := errors.AsType[*state.HeldError](err)
		if !ok || held.Run != later || held.Since.Before(free) {
			t.Errorf("got %v, want the holder since %v", err, free)
		}
		_ = second.Unlock()
	})
}

func TestASignalThatInterruptsTheLockNeitherLosesNorKeepsIt(t *testing.T) {
	d := open(t)
	interrupted := d.InterruptsEachLockCall(2)
	l, err := d.Lock(t.Context(), here, holder(run1), 0)
	if err != nil {
		t.Fatal(err)
	}
	rival, err := state.Open(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rival.Lock(t.Context(), here, holder(later), 0); err == nil {
		t.Error("two have the lock")
	}
	if run := (&state.Summary{Header: header(run1)}); !d.Running(run) {
		t.Error("its run does not count as running")
	}
	if err := l.Unlock(); err != nil {
		t.Error(err)
	}
	free, err := rival.Lock(t.Context(), here, holder(later), 0)
	if err != nil {
		t.Fatalf("after Unlock: %v", err)
	}
	_ = free.Unlock()
	if *interrupted == 0 {
		t.Error("no call was interrupted: the test proves nothing")
	}
}

// A lock file that grew, or shrank, could not be signed on a full disk.
func TestALockFileKeepsItsSize(t *testing.T) {
	d := open(t)
	sizes := map[string]int64{}
	same := func(when string) {
		t.Helper()
		for _, path := range d.LockPaths(here) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if size, known := sizes[path]; known && size != info.Size() {
				t.Errorf("%s: got %d bytes, want %d", when, info.Size(), size)
			}
			sizes[path] = info.Size()
		}
	}
	for range 2 {
		l, err := d.Lock(t.Context(), here, holder(run1), 0)
		if err != nil {
			t.Fatal(err)
		}
		same("signed")
		_ = l.Unlock()
		same("blank")
	}
}

func TestLockFilesAreNeverRemovedAreTheOwnersAndHoldNoToken(t *testing.T) {
	d := open(t)
	const secret = "s3cr3tT0ken"
	in := state.NewInstallation(secret, parse(t, "https://groups.example.com/"))
	l, err := d.Lock(t.Context(), in, holder(run1), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range d.LockPaths(in) {
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text)+path, secret) || !strings.Contains(string(text), run1) {
			t.Errorf("%s: %s, %v", path, text, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	if err := l.Unlock(); err != nil {
		t.Error(err)
	}
	for _, path := range d.LockPaths(in) {
		if text, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(text)) != "" {
			t.Errorf("%s after Unlock: %q, %v; want a blank file", path, text, err)
		}
	}
}

func TestALockFileThatSomebodyRemovedDoesNotLetTwoIn(t *testing.T) {
	d := open(t)
	for range 2 { // the second time there are files to remove
		for _, path := range d.LockPaths(here) {
			_ = os.Remove(path)
		}
		l, err := d.Lock(t.Context(), here, holder(run1), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Lock(t.Context(), here, holder(run1), 0); err == nil {
			t.Error("two have the lock")
		}
		_ = l.Unlock()
	}
}

func TestNothingToLockIsAnError(t *testing.T) {
	if _, err := open(t).Lock(t.Context(), state.Installation{}, holder(run1), 0); err == nil {
		t.Error("a lock of nothing was given")
	}
}

const later, latest = "20261123T030000Z-7f3b", "20261123T040000Z-7f3c"

func TestWhatAKilledHolderMayHaveUnderWayIsInDoubtWhereNoJournalTells(t *testing.T) {
	journalled := func(t *testing.T, d *state.Dir, listed bool) {
		w := begin(t, d, header(run1))
		if listed {
			w.List(groups(2), nil)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, d *state.Dir)
		killed bool
		doubt  bool
	}{
		{"no journal", func(*testing.T, *state.Dir) {}, true, true},
		{"a journal that was set aside", func(t *testing.T, d *state.Dir) {
			journalled(t, d, true)
			path := filepath.Join(d.Path(), run1)
			if err := os.Rename(path+".jsonl", path+".aside.jsonl"); err != nil {
				t.Fatal(err)
			}
		}, true, true},
		{"a journal that cannot be read", func(t *testing.T, d *state.Dir) {
			if err := os.WriteFile(filepath.Join(d.Path(), run1+".jsonl"), []byte("rubbish\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, true, true},
		{"a journal", func(t *testing.T, d *state.Dir) { journalled(t, d, true) }, true, false},
		{"a journal without a list: nothing was sent", func(t *testing.T, d *state.Dir) { journalled(t, d, false) }, true, false},
		{"no journal, and it has given the lock back", func(*testing.T, *state.Dir) {}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t)
			tt.before(t, d)
			end(t, d, lock(t, d, run1), tt.killed)
			second := lock(t, d, later)
			if got := !second.Doubt().IsZero(); got != tt.doubt {
				t.Errorf("doubt: %v, want %v", got, tt.doubt)
			}
			_ = second.Unlock()
		})
	}
}

func TestADoubtLastsUntilAJournalTellsOfIt(t *testing.T) {
	for _, killed := range []bool{true, false} {
		d := open(t)
		end(t, d, lock(t, d, run1), true)
		second := lock(t, d, later) // it has no list yet
		w := begin(t, d, header(later))
		doubt := second.Doubt()
		if err := w.Close(); err != nil || doubt.IsZero() {
			t.Fatal(err, doubt)
		}
		end(t, d, second, killed)
		third := lock(t, d, latest)
		if got := third.Doubt(); !got.Equal(doubt) {
			t.Errorf("killed %v: the doubt is of %v, want %v", killed, got, doubt)
		}
		third.Settled()
		end(t, d, third, false)
		fourth := lock(t, d, latest)
		if got := fourth.Doubt(); !got.IsZero() {
			t.Errorf("killed %v: a doubt that was settled is there again, of %v", killed, got)
		}
		_ = fourth.Unlock()
	}
}

func lock(t *testing.T, d *state.Dir, run string) *state.Lock {
	t.Helper()
	l, err := d.Lock(t.Context(), here, holder(run), 0)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// end gives a lock back, or leaves its files as a holder does that is killed.
func end(t *testing.T, d *state.Dir, l *state.Lock, killed bool) {
	t.Helper()
	left := map[string][]byte{}
	for _, path := range d.LockPaths(here) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		left[path] = text
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	for path, text := range left {
		if !killed {
			break
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARunIsRunningWhileAProcessHoldsTheLockInItsName(t *testing.T) {
	const run2 = "20261123T020001Z-0000"
	d := open(t)
	running := func(run string) bool {
		t.Helper()
		return d.Running(&state.Summary{Header: state.Header{Run: run, Installation: here}})
	}
	if running(run1) {
		t.Error("running without a lock")
	}
	child := start(t, childLocks, d.Path(), run1)
	if got := child.line(); got != "locked" {
		t.Fatal(got)
	}
	if !running(run1) {
		t.Error("not running while the lock is held")
	}
	if running(run2) {
		t.Error("another run is running")
	}
	if d.Running(&state.Summary{Header: state.Header{Run: run1, Installation: here}, Finished: epoch}) {
		t.Error("a run is running that has ended")
	}
	if d.Running(&state.Summary{Header: state.Header{Run: run1}}) {
		t.Error("a run of no installation is running")
	}
	child.kill()
	if running(run1) {
		t.Error("running although the process was killed")
	}
	// Having looked takes nothing away from anybody.
	l, err := d.Lock(t.Context(), here, holder(run2), 0)
	if err != nil {
		t.Fatal(err)
	}
	if running(run1) || !running(run2) {
		t.Error("it is not the run of the holder that is running")
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
}
