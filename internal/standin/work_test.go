package standin_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // wherever the tests run

	"github.com/groupserver/senddigest/internal/standin"
)

func numbered(n int) []standin.Group {
	groups := make([]standin.Group, n)
	for i := range groups {
		groups[i] = standin.Group{Site: "main", Group: fmt.Sprintf("g%04d", i)}
	}
	return groups
}

func always(d time.Duration) func(standin.Group) time.Duration {
	return func(standin.Group) time.Duration { return d }
}

// 20 sends of 1 s that come 1 ms apart: K of them run, the others queue, and each gets its turn in the order it came.
func TestThreadsAreFewAndTheQueueIsFair(t *testing.T) {
	for _, tt := range []struct{ threads, want int }{{0, 2}, {1, 1}, {4, 4}, {50, 20}} {
		t.Run(fmt.Sprintf("threads=%d", tt.threads), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				groups := numbered(20)
				s, c := pipeSite(t, standin.Options{Groups: groups, Threads: tt.threads, Cost: always(time.Second)})
				var wg sync.WaitGroup
				for _, g := range groups {
					wg.Go(func() {
						if got := send(c, g); !accepted(got) {
							t.Errorf("%v: %d %v", g, got.status, got.err)
						}
					})
					time.Sleep(time.Millisecond)
				}
				synctest.Wait()
				wg.Wait()

				all := s.Requests()
				if len(all) != len(groups) {
					t.Fatalf("requests: got %d, want %d", len(all), len(groups))
				}
				most := 0
				for i, q := range all {
					if q.Group != groups[i] {
						t.Errorf("request %d: got %v, want %v", i, q.Group, groups[i])
					}
					if got := q.Ended.Sub(q.Started); got != time.Second {
						t.Errorf("%v worked %v, want 1s", q.Group, got)
					}
					if i > 0 && q.Started.Before(all[i-1].Started) {
						t.Errorf("%v overtook %v", q.Group, all[i-1].Group)
					}
					at := 0
					for _, o := range all {
						if !o.Started.After(q.Started) && o.Ended.After(q.Started) {
							at++
						}
					}
					most = max(most, at)
				}
				if most != tt.want {
					t.Errorf("most at work at once: got %d, want %d", most, tt.want)
				}
				if got := s.Busy(); got != 20*time.Second {
					t.Errorf("busy: got %v, want 20s", got)
				}
				if got := s.MaxInFlight(); got != 20 {
					t.Errorf("most in flight: got %d, want 20", got)
				}
				if got := s.Overlaps(); got != 0 {
					t.Errorf("overlaps: got %d, want 0", got)
				}
			})
		})
	}
}

// Visitors queue behind the digests.
func TestFrontPageSharesTheThreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha, beta}, Cost: always(time.Second)})
		var wg sync.WaitGroup
		for _, g := range []standin.Group{alpha, beta} {
			wg.Go(func() { send(c, g) })
		}
		synctest.Wait()
		began := time.Now()
		req, _ := http.NewRequest("GET", base+"/", nil)
		if got := do(c, req); got.status != 200 {
			t.Errorf("got %d", got.status)
		}
		if got := time.Since(began); got != time.Second {
			t.Errorf("the visitor waited %v, want 1s", got)
		}
		wg.Wait()
		if got := s.Requests()[2]; got.Hook != standin.Front || got.Status != 200 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestGuard(t *testing.T) {
	const hour = time.Hour
	for _, tt := range []struct {
		name  string
		guard time.Duration
		quiet bool
		at    []time.Duration // from the first send to the others
		want  int
	}{
		{"a second send is skipped", 0, false, []time.Duration{hour}, 1},
		{"to the last moment", 0, false, []time.Duration{21*hour + 36*time.Minute - 1}, 1},
		{"not after 21.6 hours", 0, false, []time.Duration{21*hour + 36*time.Minute}, 2},
		{"a skipped send writes no row", 0, false, []time.Duration{20 * hour, 22 * hour}, 2},
		{"turned off", -1, false, []time.Duration{0, 0, 0}, 4},
		{"another length", hour, false, []time.Duration{hour - 1, hour}, 2},
		{"nothing to send, no mail", 0, true, []time.Duration{24 * hour}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := pipeSite(t, standin.Options{
					Groups: []standin.Group{alpha}, Guard: tt.guard, Quiet: func(standin.Group) bool { return tt.quiet },
				})
				began := time.Now()
				for _, at := range append([]time.Duration{0}, tt.at...) {
					time.Sleep(time.Until(began.Add(at)))
					if got := send(c, alpha); !accepted(got) {
						t.Errorf("at %v: %d %v", at, got.status, got.err)
					}
				}
				if got := s.Mails()[alpha]; got != tt.want {
					t.Errorf("mails: got %d, want %d", got, tt.want)
				}
			})
		})
	}
}

// Two sends of 10 s: the check is at 9 s, the row is there at 10 s.
// Sends that reach their commits together: as many as PostgreSQL prepares at once are mailed, the others are rolled back
// and can be sent again.
func TestNoMoreCommitsAtOnceThanMaxPreparedAllows(t *testing.T) {
	for most, want := range map[int]int{0: 4, 1: 1, 3: 3, 4: 4} {
		t.Run(fmt.Sprintf("MaxPrepared=%d", most), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				groups := numbered(4)
				s, c := pipeSite(t, standin.Options{Groups: groups, Threads: 4, Cost: always(time.Second), MaxPrepared: most})
				var wg sync.WaitGroup
				var undone atomic.Int32
				for _, g := range groups {
					wg.Go(func() {
						switch got := send(c, g); {
						case accepted(got):
						case got.status == 500:
							undone.Add(1)
						default:
							t.Errorf("%v: %d %v", g, got.status, got.err)
						}
					})
				}
				wg.Wait()
				if mailed := len(s.Mails()); mailed != want || int(undone.Load()) != len(groups)-want {
					t.Errorf("%d mailed and %d undone, want %d mailed and the others undone", mailed, undone.Load(), want)
				}
				for _, g := range groups {
					if got := send(c, g); !accepted(got) {
						t.Errorf("%v alone: %d %v", g, got.status, got.err)
					}
				}
				if mailed := len(s.Mails()); mailed != len(groups) {
					t.Errorf("%d mailed in the end, want %d", mailed, len(groups))
				}
			})
		})
	}
}

func TestOverlapMailsTwice(t *testing.T) {
	for _, tt := range []struct {
		name            string
		after           time.Duration
		threads         int
		mails, overlaps int
	}{
		{"together", 0, 2, 2, 1},
		{"the second checks before the first commits", 999 * time.Millisecond, 2, 2, 1},
		{"the second checks after the first commits", 1001 * time.Millisecond, 2, 1, 1},
		{"one thread", 0, 1, 1, 1},
		{"one after the other", 10 * time.Second, 2, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha}, Threads: tt.threads, Cost: always(10 * time.Second)})
				var wg sync.WaitGroup
				wg.Go(func() { send(c, alpha) })
				time.Sleep(tt.after)
				synctest.Wait()
				wg.Go(func() { send(c, alpha) })
				wg.Wait()
				if got := s.Mails()[alpha]; got != tt.mails {
					t.Errorf("mails: got %d, want %d", got, tt.mails)
				}
				if got := s.Overlaps(); got != tt.overlaps {
					t.Errorf("overlaps: got %d, want %d", got, tt.overlaps)
				}
			})
		})
	}
}

// The age of a row is what two looks at a clock on the wall say it is: docs/groupserver.md section 12.
func TestTheDuplicateCheckGoesByTheClockOnTheWall(t *testing.T) {
	for _, tt := range []struct {
		zone, first string
		guarded     time.Duration // so long the check stops another digest
	}{
		{"Europe/Berlin", "2026-10-23 12:00", 21*time.Hour + 36*time.Minute},
		{"Europe/Berlin", "2026-10-24 12:00", 22*time.Hour + 36*time.Minute},
		{"Europe/Berlin", "2026-03-28 12:00", 20*time.Hour + 36*time.Minute},
		{"Australia/Lord_Howe", "2026-04-04 12:00", 22*time.Hour + 6*time.Minute},
		{"UTC", "2026-10-24 12:00", 21*time.Hour + 36*time.Minute},
	} {
		t.Run(tt.zone+" "+tt.first, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zone, err := time.LoadLocation(tt.zone)
				if err != nil {
					t.Fatal(err)
				}
				first, err := time.ParseInLocation("2006-01-02 15:04", tt.first, zone)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(first))
				s, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha}, Zone: zone})
				for i, later := range []time.Duration{0, tt.guarded - time.Second, tt.guarded} {
					time.Sleep(time.Until(first.Add(later)))
					send(c, alpha)
					if got, want := s.Mails()[alpha], []int{1, 1, 2}[i]; got != want {
						t.Errorf("mails %v after the first: got %d, want %d", later, got, want)
					}
				}
			})
		})
	}
}

// A client that leaves stops nothing: not the send at work, not the one that still queues.
func TestWorkGoesOnWithoutTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha, beta}, Threads: 1, Cost: always(time.Minute)})
		var wg sync.WaitGroup
		for _, g := range []standin.Group{alpha, beta} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				if got := post(ctx, c, base+standin.SendPath, sendForm(g)); got.err == nil {
					t.Errorf("%v: got %d, want a timeout", g, got.status)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		synctest.Wait()
		if got := s.Mails(); len(got) != 0 {
			t.Fatalf("mails before the work is done: %v", got)
		}
		s.Close() // waits for both
		if got := s.Mails(); got[alpha] != 1 || got[beta] != 1 {
			t.Errorf("mails: got %v, want one each", got)
		}
		for i, q := range s.Requests() {
			if !q.Left || q.Status != 0 || !q.Mailed || q.Ended.Sub(q.Arrived) != time.Duration(i+1)*time.Minute {
				t.Errorf("got %+v", q)
			}
		}
	})
}

// A request whose body does not come whole never runs.
func TestCutRequestNeverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := standin.New(standin.Options{Groups: []standin.Group{alpha}})
		l := standin.Pipe()
		v := s.Serve(l)
		conn, err := l.DialContext(context.Background(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		body := sendForm(alpha).Encode()
		_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
			standin.SendPath, len(body)+1, body)
		_ = conn.Close()
		synctest.Wait()
		v.Close()
		s.Close()
		if got := s.Mails(); len(got) != 0 || len(s.Requests()) != 0 {
			t.Errorf("mails %v, requests %v; want none", got, s.Requests())
		}
	})
}

func TestClosedSiteCutsRequestsOff(t *testing.T) {
	s, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha}})
	s.Close()
	s.Close()
	if got := send(c, alpha); got.err == nil {
		t.Errorf("got %d, want an error", got.status)
	}
	if got := s.Mails(); len(got) != 0 {
		t.Errorf("mails: got %v", got)
	}
}

func TestArrivalsInAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha}})
		began := time.Now()
		at := []time.Duration{0, 100, 200, 300, 1000, 1050, 1099, 1100} // ms
		list(c)                                                         // not counted
		for _, d := range at {
			time.Sleep(time.Until(began.Add(d * time.Millisecond)))
			send(c, alpha)
		}
		var got []time.Duration
		for _, a := range s.Starts() {
			got = append(got, a.Sub(began)/time.Millisecond)
		}
		if !slices.Equal(got, at) {
			t.Errorf("starts: got %v, want %v", got, at)
		}
		for d, want := range map[time.Duration]int{0: 0, 1: 1, 100: 3, 101: 4, 300: 4, 301: 4, 1000: 6, 1001: 7, 1101: 8, 5000: 8} {
			if got := s.MaxInWindow(d * time.Millisecond); got != want {
				t.Errorf("in %d ms: got %d, want %d", d, got, want)
			}
		}
	})
}

func TestNoLogKeepsTheCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha}, Cost: always(time.Second), NoLog: true})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { send(c, alpha) })
		}
		wg.Wait()
		if got := len(s.Requests()) + len(s.Starts()) + s.MaxInWindow(time.Hour); got != 0 {
			t.Errorf("a log all the same: %v", s.Requests())
		}
		if s.Mails()[alpha] != 2 || s.MaxInFlight() != 2 || s.Overlaps() != 1 || s.Busy() != 2*time.Second {
			t.Errorf("got %v, %d in flight, %d overlaps, busy %v", s.Mails(), s.MaxInFlight(), s.Overlaps(), s.Busy())
		}
	})
}

// The lock lets one compute at a time, however many threads there are; what is not computing overlaps.
func TestALockBoundSiteDoesNoMoreThanItsLockAllows(t *testing.T) {
	for _, tt := range []struct {
		lock          float64
		least, most   time.Duration // for 20 sends of 1 s, 4 at once
		alone, second time.Duration // one send on its own; two at once, at least
	}{
		{0, 5 * time.Second, 5 * time.Second, time.Second, time.Second},
		{0.6, 12 * time.Second, 13500 * time.Millisecond, time.Second, 1200 * time.Millisecond},
		{1, 20 * time.Second, 20*time.Second + time.Millisecond, time.Second, 2 * time.Second},
	} {
		t.Run(fmt.Sprint(tt.lock), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				groups := numbered(20)
				s := standin.New(standin.Options{Groups: groups, Threads: 4, Lock: tt.lock, Cost: always(time.Second), Guard: -1})
				defer s.Close()
				begin := time.Now()
				var wg sync.WaitGroup
				for _, g := range groups {
					wg.Go(func() { s.Work(standin.Send, g) })
				}
				wg.Wait()
				if took := time.Since(begin); took < tt.least || took > tt.most {
					t.Errorf("20 sends took %v, want %v to %v", took, tt.least, tt.most)
				}
				begin = time.Now()
				s.Work(standin.Send, groups[0])
				if took := time.Since(begin); took < tt.alone || took > tt.alone+time.Millisecond {
					t.Errorf("a send on its own took %v, want %v", took, tt.alone)
				}
				begin = time.Now()
				for _, g := range groups[:2] {
					wg.Go(func() { s.Work(standin.Send, g) })
				}
				wg.Wait()
				if took := time.Since(begin); took < tt.second {
					t.Errorf("two sends took %v, want %v at least", took, tt.second)
				}
			})
		})
	}
}

func TestTheFrontPageTakesAThreadAndItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := pipeSite(t, standin.Options{Groups: numbered(1), Threads: 1, Cost: always(time.Second), FrontCost: 40 * time.Millisecond})
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { s.Work(standin.Send, numbered(1)[0]) })
		synctest.Wait()
		resp, err := c.Get("http://groups.example.com/")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		wg.Wait()
		if took := time.Since(begin); took != 1040*time.Millisecond {
			t.Errorf("the page behind a send took %v, want 1.04s", took)
		}
		if s.Mails()[numbered(1)[0]] != 1 {
			t.Error("the send was not mailed")
		}
	})
}

func TestThreadsCanBeTakenAwayAndGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		groups := numbered(24)
		s := standin.New(standin.Options{Groups: groups, Threads: 4, Cost: always(time.Second)})
		defer s.Close()
		var wg sync.WaitGroup
		for _, g := range groups {
			wg.Go(func() { s.Work(standin.Send, g) })
		}
		ended := func() (n int) {
			synctest.Wait()
			for _, q := range s.Requests() {
				if !q.Ended.IsZero() {
					n++
				}
			}
			return n
		}
		time.Sleep(500 * time.Millisecond)
		s.SetThreads(0)                       // as 1
		for i, want := range []int{4, 5, 6} { // what was under way ends
			time.Sleep(time.Second)
			if got := ended(); got != want {
				t.Errorf("%d s on: %d ended, want %d", i+1, got, want)
			}
		}
		s.SetThreads(8)
		time.Sleep(time.Second)
		if got := ended(); got != 14 {
			t.Errorf("with 8 threads: %d ended, want 14", got)
		}
		wg.Wait()
	})
}
