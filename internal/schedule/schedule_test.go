package schedule

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// known makes jobs of which past runs tell, by their seconds.
func known(seconds ...int) []Job {
	jobs := make([]Job, len(seconds))
	for i, s := range seconds {
		jobs[i] = Job{Estimate: time.Duration(s) * time.Second, Known: true}
	}
	return jobs
}

func guessed(seconds int) Job { return Job{Estimate: time.Duration(seconds) * time.Second} }

func classed(class int, j Job) Job {
	j.Class = class
	return j
}

func TestTheOrderOfTheJobs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		jobs  []Job
		order Order
		want  []int
		is    Order
	}{
		{"no job", nil, Longest, []int{}, Longest},
		{"name is as listed", known(1, 3, 2), Name, []int{0, 1, 2}, Name},
		{"longest", known(1, 3, 2), Longest, []int{1, 2, 0}, Longest},
		{"equals go as listed", known(2, 3, 2, 3, 2), Longest, []int{1, 3, 0, 2, 4}, Longest},
		{"mixed is longest first, and taken from both ends", known(1, 3, 2), Mixed, []int{1, 2, 0}, Mixed},
		{"auto is longest where past runs tell of any", append(known(3), guessed(1), guessed(5)), Auto, []int{2, 0, 1}, Longest},
		{"auto is as listed where they tell of none", []Job{guessed(1), guessed(2)}, Auto, []int{0, 1}, Name},
		{"auto of no job", nil, Auto, []int{}, Name},
		{"no order is auto", known(1, 2), "", []int{1, 0}, Longest},
		{"a guess counts as what is guessed", append(known(1, 3), guessed(2)), Longest, []int{1, 2, 0}, Longest},
		{"a lower class goes first", []Job{classed(1, guessed(9)), guessed(1), classed(1, guessed(10)), guessed(2)}, Longest, []int{3, 1, 2, 0}, Longest},
		{"by name too", []Job{classed(1, guessed(9)), guessed(1), classed(1, guessed(10)), guessed(2)}, Name, []int{1, 3, 0, 2}, Name},
		{"mixed takes no class before its turn", []Job{classed(1, guessed(1)), guessed(1)}, Mixed, []int{1, 0}, Longest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := New(evening, tt.jobs, Settings{Order: tt.order})
			if diff := cmp.Diff(plan.Sequence(), tt.want); diff != "" || plan.Order() != tt.is {
				t.Errorf("%s, want %s; got -, want +:\n%s", plan.Order(), tt.is, diff)
			}
		})
	}
}

func TestHeavyIsAboveThe95thPercentileOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	var hundred []int
	for i := range 100 {
		hundred = append(hundred, i+1)
	}
	slices.Reverse(hundred)
	for _, tt := range []struct {
		name string
		jobs []Job
		want []int
	}{
		{"five of a hundred", known(hundred...), []int{0, 1, 2, 3, 4}},
		{"one of twenty", known(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2), []int{19}},
		{"none of nineteen", known(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2), nil},
		{"none where all are alike", known(make([]int, 100)...), nil},
		{"a guess is never heavy, and moves no bound", append(known(hundred...), guessed(1000), guessed(1000)), []int{0, 1, 2, 3, 4}},
		{"none where nothing is known", []Job{guessed(1), guessed(1000)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := New(evening, tt.jobs, Settings{})
			var heavy []int
			for i := range tt.jobs {
				if plan.Heavy(i) {
					heavy = append(heavy, i)
				}
			}
			if diff := cmp.Diff(heavy, tt.want); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

// No more heavy jobs than allowed while a lighter one is left that is not spare: on every site, in every order.
func TestTheLimitOfHeavyJobsIsKept(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		listed, truth := aSite(seed, 300, 1+float64(seed%3)/2)
		for _, order := range []Order{Name, Longest, Mixed} {
			for _, limit := range []int{0, 1, 3} {
				s := Settings{Order: order, Workers: 8, MaxHeavy: func(int) int { return limit }}
				most := limit
				if limit == 0 {
					most = 4
				}
				plan := New(evening, listed, s)
				spare := plan.Rule().Spare
				if spare > 0 && (limit > 0 || order != Longest) {
					t.Errorf("site %d, %s: %d jobs are spare, with a limit of %d", seed, order, spare, limit)
				}
				left := 0 // lighter jobs that are not spare
				for place, i := range plan.Sequence() {
					if !plan.Heavy(i) && place < len(listed)-spare {
						left++
					}
				}
				var ends []time.Duration // of the heavy jobs that have started
				plan.each(truth, func(place int, at time.Duration) {
					i := plan.Sequence()[place]
					if !plan.Heavy(i) {
						if place < len(listed)-spare {
							left--
						}
						return
					}
					ends = slices.DeleteFunc(ends, func(end time.Duration) bool { return end <= at })
					ends = append(ends, at+truth[i])
					if len(ends) > most && left > 0 {
						t.Errorf("site %d, %s: %d heavy jobs in flight at %v, want %d: %d lighter ones are left", seed, order, len(ends), at, most, left)
					}
				})
			}
		}
	}
}

// Most sites need none, and those that do get no more than it takes: what is gained is worth it.
func TestJobsAreSpareOnlyWhereTheLimitWouldCost(t *testing.T) {
	t.Parallel()
	spared := 0
	for seed := range uint64(100) {
		listed, _ := aSite(seed, 500, 1+float64(seed%11)/10)
		estimates := make([]time.Duration, len(listed))
		for i := range listed {
			estimates[i] = listed[i].Estimate
		}
		plan := New(evening, listed, Settings{Workers: 8})
		strict := New(evening, listed, Settings{Workers: 8, MaxHeavy: func(int) int { return 4 }})
		free := New(evening, listed, Settings{Workers: 8, MaxHeavy: func(int) int { return 8 }})
		costs := strict.run(estimates) > free.run(estimates)*1005/1000
		if spare := plan.Rule().Spare; costs != (spare > 0) {
			t.Errorf("site %d: %d jobs are spare, the limit costs: %t", seed, spare, costs)
		} else if costs {
			spared++
		}
		if length := plan.run(estimates); length > free.run(estimates)*1011/1000 {
			t.Errorf("site %d: %v, want about the %v that it would take without the limit", seed, length, free.run(estimates))
		}
	}
	if spared == 0 || spared > 40 {
		t.Errorf("on %d sites of 100 jobs are spare, want few, not none", spared)
	}
}
