package dispatcher_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// hires makes a run of 12 jobs of 10 s each with one worker, of which a change is made after 5 s. It returns how many sends
// were in flight at most, and how long the run took.
func hires(t *testing.T, o dispatcher.Options, change func(hire func(int))) (most int, took time.Duration) {
	t.Helper()
	hired := make(chan func(int), 1)
	o.Workers, o.Hiring = 1, func(hire func(int)) { hired <- hire }
	o.Observe = func(e dispatcher.Event) { most = max(most, e.InFlight) }
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(5 * time.Second)
		change(<-hired)
	}()
	r := dispatcher.Run(t.Context(), jobs(12), takes(10*time.Second, accepted), o)
	took = time.Since(r.Started)
	<-done
	if got := outcomesOf(r); got != "12 accepted" {
		t.Error(got)
	}
	return most, took
}

func TestWorkersThatAreHiredSendAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		to   []int
		most int
		took time.Duration
	}{
		{"more", []int{4}, 4, 35 * time.Second}, // 1 until 10 s, 3 more from 5 s on: 12 are done at 35 s
		{"fewer are as many as there are", []int{0}, 1, 120 * time.Second},
		{"more than there are jobs", []int{1000}, 12, 15 * time.Second},
		{"by and by", []int{2, 3, 4}, 4, 35 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				most, took := hires(t, dispatcher.Options{}, func(hire func(int)) {
					for _, n := range tt.to {
						hire(n)
					}
				})
				if most != tt.most || took != tt.took {
					t.Errorf("at most %d in flight, in %v; want %d, in %v", most, took, tt.most, tt.took)
				}
			})
		})
	}
}

func TestWorkersThatAreHiredObeyTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if most, _ := hires(t, dispatcher.Options{Limiter: ratelimit.NewCrowd(3, nil)}, func(hire func(int)) { hire(8) }); most != 3 {
			t.Errorf("%d in flight, want 3", most)
		}
	})
}

// Ten are in flight when the limit becomes one: all end, and then one at a time starts.
func TestALimitThatIsLoweredCutsNothingThatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ratelimit.NewCrowd(10, nil)
		begin := time.Now()
		var starts []time.Duration
		r := dispatcher.Run(t.Context(), jobs(12), takes(10*time.Second, accepted), dispatcher.Options{
			Workers: 10, Limiter: c,
			Observe: func(e dispatcher.Event) {
				if e.Kind != dispatcher.Started {
					return
				}
				if starts = append(starts, time.Since(begin)); len(starts) == 10 {
					c.SetMost(1)
				}
			},
		})
		if got := outcomesOf(r); got != "12 accepted" || starts[9] != 0 || starts[10] != 10*time.Second || starts[11] != 20*time.Second {
			t.Errorf("%s, started at %v", got, starts)
		}
	})
}
