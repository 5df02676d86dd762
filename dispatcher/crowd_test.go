package dispatcher_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// undone is the verdict on a send that the service undid for others in flight.
var undone = dispatcher.Verdict{
	Outcome: dispatcher.NotOK, Status: 500, Reason: "too many commits", Err: errors.New("500"), NotDelivered: true, Retry: true, Health: ratelimit.Crowded,
}

// crowdedService accepts so many sends at once, and undoes each further one when it ends.
func crowdedService(most int32) dispatcher.SendFunc[job] {
	var inFlight atomic.Int32
	return func(context.Context, job) dispatcher.Verdict {
		tooMany := inFlight.Add(1) > most
		time.Sleep(time.Second)
		inFlight.Add(-1)
		if tooMany {
			return undone
		}
		return accepted
	}
}

func TestASendThatWasUndoneForOthersInFlightUsesUpNoTry(t *testing.T) {
	for most := range int32(4) {
		synctest.Test(t, func(t *testing.T) {
			crowd := ratelimit.NewCrowd(4, nil)
			r := dispatcher.Run(t.Context(), jobs(200), crowdedService(most+1), dispatcher.Options{
				Workers: 4, Limiter: crowd, Retries: 1,
			})
			if n := r.Counts()[dispatcher.Accepted]; n != 200 {
				t.Errorf("%d at once: %d of 200 accepted", most+1, n)
			}
			if crowd.Limit() != int(most+1) {
				t.Errorf("%d at once: the limit is %d", most+1, crowd.Limit())
			}
			// Nothing but the undone tries themselves costs time: three lowerings at most, a second each.
			if took, ideal := r.Finished.Sub(r.Started), time.Duration(200/(most+1))*time.Second; took > ideal+6*time.Second {
				t.Errorf("%d at once: took %v, want little more than %v", most+1, took, ideal)
			}
		})
	}
}

func TestASendThatIsUndoneAloneFailsByItself(t *testing.T) {
	for health, want := range map[ratelimit.Health]ratelimit.Health{
		ratelimit.Crowded: ratelimit.Failing,
		ratelimit.NoRoom:  ratelimit.Unknown, // the service was not asked
	} {
		synctest.Test(t, func(t *testing.T) {
			limiter, verdict := &gauge{}, undone
			verdict.Health = health
			r := dispatcher.Run(t.Context(), jobs(1), turns(time.Second, map[job][]dispatcher.Verdict{"main/group000": {verdict}}), dispatcher.Options{
				Workers: 4, Limiter: limiter, Retries: 2, Backoff: after(0),
			})
			if got := r.Results[0]; got.Outcome != dispatcher.NotOK || got.Attempts != 3 {
				t.Errorf("got %v after %d tries, want not_ok after 3", got.Outcome, got.Attempts)
			}
			for _, f := range limiter.heard {
				if f.Health != want || f.InFlight != 1 {
					t.Errorf("the limiter heard %v with %d in flight, want %v, with 1", f.Health, f.InFlight, want)
				}
			}
		})
	}
}

// Also where nobody lowers the number of sends in flight.
func TestAJobThatIsUndoneForEverEndsAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := dispatcher.Run(t.Context(), jobs(40), crowdedService(0), dispatcher.Options{Workers: 4, Retries: 2, Backoff: after(0)})
		for _, got := range r.Results {
			if got.Outcome != dispatcher.NotOK || got.Attempts > 4+3 {
				t.Errorf("%v: %v after %d tries, want not_ok after 7 at most", got.Job.Key(), got.Outcome, got.Attempts)
			}
		}
	})
}

func TestTheLimiterHearsHowManyWereInFlightWithASend(t *testing.T) {
	sends := map[job]struct {
		at, took time.Duration
		want     int
	}{
		"a": {0, 10 * time.Second, 3},
		"b": {1 * time.Second, 2 * time.Second, 3},
		"c": {2 * time.Second, 3 * time.Second, 3},
		"d": {6 * time.Second, 1 * time.Second, 2}, // with a alone
		"e": {20 * time.Second, 4 * time.Second, 1},
	}
	synctest.Test(t, func(t *testing.T) {
		limiter := &gauge{}
		list, began := []job{"a", "b", "c", "d", "e"}, time.Now()
		dispatcher.Run(t.Context(), list, func(_ context.Context, j job) dispatcher.Verdict {
			time.Sleep(sends[j].took)
			return accepted
		}, dispatcher.Options{
			Workers: 3, Limiter: limiter,
			Rule: dispatcher.Rule{NotBefore: func(i int) time.Time { return began.Add(sends[list[i]].at) }},
		})
		got := map[time.Duration]int{}
		for _, f := range limiter.heard {
			got[f.Took] = f.InFlight
		}
		for j, s := range sends {
			if got[s.took] != s.want {
				t.Errorf("%s: got %d, want %d", j, got[s.took], s.want)
			}
		}
	})
}
