package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/ratelimit"
)

// frail starts a stand-in that refuses connections from one time after the start of the test to another, with a
// client for it. Requests that are under way when the outage begins end as if nothing had happened.
func frail(t *testing.T, o standin.Options, from, to time.Duration) (*standin.Site, *hooks.Client) {
	t.Helper()
	s, pipe := standin.New(o), standin.Pipe()
	server := s.Serve(pipe)
	begin := time.Now()
	transport := hooks.NewTransport(hooks.TransportOptions{})
	transport.Proxy = nil
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if at := time.Since(begin); at >= from && at < to {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		return pipe.DialContext(ctx, network, address)
	}
	t.Cleanup(func() {
		server.Close()
		s.Close()
	})
	return s, client(t, transport)
}

// extra are the tries of a run beyond the first of each group.
func extra(r campaign.Result) int { return r.Document.Counts.Retries }

func TestAnOutageOfTenMinutesFailsNoGroup(t *testing.T) {
	for _, workers := range []int{1, 2, 4, 16} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const groups = 1000
				s, c := frail(t, standin.Options{Groups: numbered(groups), Threads: 16, Cost: always(time.Second)}, 20*time.Second, 10*time.Minute+20*time.Second)
				var down []campaign.Down
				up := 0
				r := run(t.Context(), c, campaign.Settings{
					URL: siteURL, Workers: workers, Retries: 2, GiveUpAfter: 15 * time.Minute,
					Observers: slices.Concat(
						hear(func(e campaign.Down) { down = append(down, e) }), hear(func(campaign.Up) { up++ }),
					),
				})
				if got := counted(r); got != "1000 accepted" || r.StoppedBy != nil || len(s.Mails()) != groups {
					t.Errorf("got %s, %d mailed, stopped by %v", got, len(s.Mails()), r.StoppedBy)
				}
				// The opening, twelve probes that fail, after 5, 15, 35, 75 s and each minute, and the end.
				if len(down) != 13 || up != 1 {
					t.Errorf("told that it is down %d times, and %d times that it is up: %+v", len(down), up, down)
				}
				// Each send that was in flight when the outage began still ends well, and may delay the opening by a try.
				if got, most := extra(r), 10+2*workers+13; got < 8 || got > most {
					t.Errorf("got %d tries more, want from 8 to %d: what opened the breaker, and the probes", got, most)
				}
			})
		})
	}
}

func TestAnOutageThatLastsTooLongEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := frail(t, standin.Options{Groups: numbered(1000), Threads: 4, Cost: always(time.Second)}, 20*time.Second, 16*time.Minute+20*time.Second)
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 4, Retries: 2, GiveUpAfter: 15 * time.Minute})
		n := r.Document.Counts
		// Eight that open the breaker, those in flight then, and one more for each send that was in flight when the
		// outage began: it still ends well, and may delay the opening.
		if n.Accepted != 80 || n.Unreachable > 8+4+4 || n.Accepted+n.Unreachable+n.NotAttempted != 1000 || len(s.Mails()) != 80 {
			t.Errorf("got %s, %d mailed, want 80 accepted, and few of the others to fail", counted(r), len(s.Mails()))
		}
		if _, ok := errors.AsType[*ratelimit.DownError](r.StoppedBy); !ok || stopped(r) != "site_down" || r.Document.Complete {
			t.Errorf("stopped by %v, %q", r.StoppedBy, stopped(r))
		}
		if got, want := r.Document.Seconds.Wall, (15*time.Minute + 20*time.Second).Seconds(); got != want {
			t.Errorf("gave up after %v s, want %v s", got, want)
		}
		for g := range r.Document.Groups() {
			if g.Outcome == "not_attempted" && (g.Reason != "the site has not answered for 15m0s" || g.Attempts != 0) {
				t.Errorf("got %+v", g)
			}
		}
	})
}

func TestWithoutRetriesAnOutageFailsThoseThatMeetIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := frail(t, standin.Options{Groups: numbered(100), Cost: always(time.Second)}, 5*time.Second, time.Minute)
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1, GiveUpAfter: 15 * time.Minute})
		if n := r.Document.Counts; extra(r) != 0 || n.Unreachable == 0 || n.Accepted+n.Unreachable != 100 {
			t.Errorf("got %s, %d tries more", counted(r), extra(r))
		}
	})
}

func TestARetryAfterHoldsTheWholeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{
			Groups: numbered(12), Threads: 4, Cost: always(2 * time.Second),
			Faults: []standin.Fault{{Pattern: "main/g0004", Kind: standin.TooMany, RetryAfter: "30", Times: 1}},
		})
		begin := time.Now()
		var told []time.Duration
		r := run(t.Context(), c, campaign.Settings{
			URL: siteURL, Workers: 4, Rate: 2, Burst: 1, Retries: 2, Observers: hear(func(e campaign.Paused) { told = append(told, e.For) }),
		})
		if got := counted(r); got != "12 accepted" || extra(r) != 1 {
			t.Errorf("got %s, %d tries more", got, extra(r))
		}
		// Two a second; g0004 is refused at 2s, when the next worker already waits for its token.
		var at []time.Duration
		for _, start := range s.Starts() {
			at = append(at, start.Sub(begin))
		}
		const half = 500 * time.Millisecond
		want := []time.Duration{0, half, 2 * half, 3 * half, 4 * half}
		for i := range 8 {
			want = append(want, 32*time.Second+time.Duration(i)*half)
		}
		if diff := cmp.Diff(at, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		if !slices.Equal(told, []time.Duration{30 * time.Second}) {
			t.Errorf("told of %v", told)
		}
	})
}

func TestARetryAfterThatIsTooLongEndsTheRun(t *testing.T) {
	for _, groups := range []int{1, 10} {
		t.Run(fmt.Sprint(groups), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := site(t, standin.Options{
					Groups: numbered(groups), Faults: []standin.Fault{{Pattern: "main/g0000", Kind: standin.TooMany, RetryAfter: "86400"}},
				})
				r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1, Retries: 2, GiveUpAfter: 15 * time.Minute})
				if n := r.Document.Counts; n.NotOK != 1 || n.NotAttempted != groups-1 || stopped(r) != "site_down" {
					t.Errorf("got %s, stopped by %v", counted(r), r.StoppedBy)
				}
				if r.StoppedBy == nil || r.StoppedBy.Error() != "the site asked for a pause of 24h0m0s" || r.Document.Seconds.Wall > 1 {
					t.Errorf("stopped by %v after %v s, want at once", r.StoppedBy, r.Document.Seconds.Wall)
				}
			})
		})
	}
}

func TestADeadlineEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{
			Groups: numbered(3), Faults: []standin.Fault{{Pattern: "main/g0000", Kind: standin.TooMany, RetryAfter: "600"}},
		})
		r := run(deadline(t, time.Minute), c, campaign.Settings{URL: siteURL, Workers: 1, Retries: 2, GiveUpAfter: 15 * time.Minute})
		if got, want := counted(r), "1 not_ok, 2 not_attempted"; got != want || stopped(r) != "deadline" || r.Document.Seconds.Wall != 60 {
			t.Errorf("got %s, %q after %v s, want %s", got, stopped(r), r.Document.Seconds.Wall, want)
		}
	})
}

// Each fault for the first two tries: what proves that nothing was mailed ends accepted, all else ends where it began.
func TestEachFaultIsTriedAgainOnlyWithProof(t *testing.T) {
	proof := []standin.Kind{
		standin.Error500, standin.DigestError, standin.CommitError, standin.Conflict, standin.SiteError, standin.Bare500, standin.TooMany,
		standin.OwnError, standin.NoPrepared, standin.DatabaseLost, standin.DatabaseAway,
	}
	for _, kind := range standin.Kinds() {
		fault := standin.Fault{Pattern: "main/*", Kind: kind, Times: 2}
		switch {
		case kind == standin.HalfJSON, kind == standin.Dicts, kind == standin.Huge:
			continue // of the list alone
		case kind == standin.DatabaseRestart:
			continue // of the whole site, see TestADatabaseThatRestartsFailsNoGroup
		case strings.HasPrefix(kind.String(), "redirect"):
			fault.URL = "https://elsewhere.example.com$PATH"
		}
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := site(t, standin.Options{Groups: numbered(1), Cost: always(time.Second), Faults: []standin.Fault{fault}})
				r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 2, Retries: 2})
				tries := 1
				if slices.Contains(proof, kind) {
					tries = 3
				}
				if got := len(s.Starts()); got != tries || extra(r) != tries-1 {
					t.Errorf("%d sends, %d tries more, want %d", got, extra(r), tries)
				}
				n := s.Mails()[numbered(1)[0]]
				if tries == 3 && (counted(r) != "1 accepted" || n != 1) || n > 1 || s.Overlaps() > 0 {
					t.Errorf("got %s, mailed %d times, %d overlaps", counted(r), n, s.Overlaps())
				}
			})
		})
	}
}

func TestTheReportCountsTriesAndTimesTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{
			Groups: numbered(1), Cost: always(time.Second), Faults: []standin.Fault{{Pattern: "main/*", Kind: standin.TooMany, RetryAfter: "10", Times: 2}},
		})
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1, Retries: 2})
		for g := range r.Document.Groups() {
			if g.Outcome != "accepted" || g.Attempts != 3 || g.Start != 20 || g.Seconds != 1 {
				t.Errorf("got %+v, want the third try, after 20 s", g)
			}
		}
		if extra(r) != 2 || r.Document.Seconds.Wall != 21 {
			t.Errorf("got %d tries more in %v s", extra(r), r.Document.Seconds.Wall)
		}
	})
}

func TestADatabaseThatRestartsFailsNoGroup(t *testing.T) {
	for _, workers := range []int{1, 2, 4, 16} {
		for _, away := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Minute} {
			t.Run(fmt.Sprintf("workers=%d,away=%v", workers, away), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const groups = 300
					s, c := site(t, standin.Options{
						Groups: numbered(groups), Threads: 16, Cost: always(100 * time.Millisecond),
						Faults: []standin.Fault{
							{Pattern: "main/g0040", Kind: standin.DatabaseRestart, Delay: away, Times: 1},
							{Pattern: "main/g0007", Kind: standin.OwnError}, // one that fails by itself
							{Pattern: "main/g0290", Kind: standin.OwnError},
						},
					})
					r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: workers, Retries: 2, GiveUpAfter: 15 * time.Minute})
					if got, want := counted(r), "298 accepted, 2 not_ok"; got != want || r.StoppedBy != nil || len(s.Mails()) != groups-2 {
						t.Errorf("got %s, %d mailed, stopped by %v, want %s", got, len(s.Mails()), r.StoppedBy, want)
					}
					for g := range r.Document.Groups() {
						if g.Outcome == "not_ok" && (g.Attempts < 3 || g.Attempts > 9) {
							t.Errorf("%s ended after %d tries, want 3, and what it was asked for while the database was away", g.Group, g.Attempts)
						}
					}
					if got, most := r.Document.Seconds.Wall, (away + 30*time.Second + groups*100*time.Millisecond).Seconds(); got > most {
						t.Errorf("took %v s, want at most %v s", got, most)
					}
				})
			})
		}
	}
}

func TestASiteThatFailsEverythingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{Groups: numbered(500), Threads: 4, Faults: []standin.Fault{{Pattern: "*/*", Kind: standin.Error500}}})
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 4, Retries: 2, GiveUpAfter: 15 * time.Minute})
		// What opened the breaker, and a probe each five seconds.
		if got := len(s.Starts()); got > 12+15*12 || stopped(r) != "site_down" || r.Document.Seconds.Wall != 900 {
			t.Errorf("%d sends, %s, stopped by %v after %v s", got, counted(r), r.StoppedBy, r.Document.Seconds.Wall)
		}
		if got, want := r.StoppedBy.Error(), "the site has answered every send with an error for 15m0s"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestEveryTryKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{Groups: numbered(60), Threads: 8, Faults: []standin.Fault{{Pattern: "*/*", Kind: standin.Error500, Times: 1}}})
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 8, Rate: 10, Burst: 3, Retries: 2})
		if extra(r) < 22 || s.Overlaps() != 0 {
			t.Errorf("got %s, %d tries more, %d overlaps, want at least 22 (the budget's), 0", counted(r), extra(r), s.Overlaps())
		}
		for _, window := range []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, 5 * time.Second} {
			if got, most := s.MaxInWindow(window), int(10*window.Seconds())+3; got > most {
				t.Errorf("%d sends began within %v, want at most %d", got, window, most)
			}
		}
	})
}

func TestGraceCutsWhatGoesOnForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{Groups: numbered(10), Cost: always(time.Minute)})
		signal := &campaign.SignalError{Signal: syscall.SIGTERM}
		r := run(endsWith(t, time.Second, signal), c, campaign.Settings{URL: siteURL, Workers: 2, Retries: 2, Grace: 10 * time.Second})
		if got, want := counted(r), "2 ambiguous, 8 not_attempted"; got != want || r.StoppedBy != error(signal) || r.Document.Seconds.Wall != 11 {
			t.Errorf("got %s, stopped by %v after %v s, want %s", got, r.StoppedBy, r.Document.Seconds.Wall, want)
		}
		for g := range r.Document.Groups() {
			if g.Outcome == "ambiguous" && g.Reason != dispatcher.ErrGrace.Error() {
				t.Errorf("got %q", g.Reason)
			}
		}
	})
}
