package campaign_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/ratelimit"
)

// limits keeps how many sends may be in flight, each time that this changes, and why.
func limits(list *[]campaign.Limited) []campaign.Observer {
	return hear(func(e campaign.Limited) { *list = append(*list, e) })
}

func TestTooFewPreparedTransactionsFailNoGroupWithAnyNumberOfWorkers(t *testing.T) {
	for _, most := range []int{1, 2, 3} {
		for _, workers := range []int{2, 4, 16} {
			for name, cost := range map[string]func(standin.Group) time.Duration{
				"commits together": always(time.Second), "commits apart": standin.HeavyTail(3),
			} {
				t.Run(fmt.Sprintf("max_prepared_transactions=%d/workers=%d/%s", most, workers, name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						const groups = 300
						s, c := site(t, standin.Options{Groups: standin.Generate(groups, 3), Threads: 16, Cost: cost, MaxPrepared: most})
						var moved []campaign.Limited
						r := run(t.Context(), c, campaign.Settings{
							URL: siteURL, Workers: workers, Retries: 2, GiveUpAfter: 15 * time.Minute,
							Observers: limits(&moved),
						})
						if got := counted(r); got != "300 accepted" || len(s.Mails()) != groups || r.StoppedBy != nil {
							t.Fatalf("got %s, %d mailed, stopped by %v", got, len(s.Mails()), r.StoppedBy)
						}
						if most >= workers {
							if len(moved) > 0 || len(r.Warnings) > 0 {
								t.Errorf("held: %v %q", moved, r.Warnings)
							}
							return
						}
						if name == "commits apart" {
							return // that there were two at once is chance
						}
						if len(moved) == 0 {
							t.Fatal("nothing is held")
						}
						last := moved[len(moved)-1]
						if last.Sends < most || workers <= 4 && last.Sends > most || last.Crowded != last.Sends+1 {
							t.Errorf("the last limit is %d after %d in flight", last.Sends, last.Crowded)
						}
						if want := fmt.Sprintf("max_prepared_transactions is .* with %d in flight one .* on %d may be in flight; set it to at least", last.Crowded, last.Sends); !regexp.MustCompile(want).MatchString(fmt.Sprint(r.Warnings)) {
							t.Errorf("it says %q", r.Warnings)
						}
						// 300 s, and two for each lowering: a round of sends and another of what it undid.
						if got, limit := r.Document.Seconds.Wall, float64(groups/most+2*(workers-most)+2); got > limit {
							t.Errorf("took %v s, want %v at most", got, limit)
						}
					})
				})
			}
		}
	}
}

// Pages stay quick, so that nothing but the database says where the limit is.
func TestAutoFindsHowManyCommitsPostgreSQLTakesAtOnce(t *testing.T) {
	for _, most := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			const groups = 600
			s, c := site(t, standin.Options{Groups: numbered(groups), Threads: 16, Cost: always(time.Second), MaxPrepared: most})
			var moved []campaign.Limited
			r := run(t.Context(), c, campaign.Settings{
				URL: siteURL, Workers: 16, Auto: true, Retries: 2, GiveUpAfter: 15 * time.Minute,
				Observers: limits(&moved), Visitors: quickPages{},
			})
			if got := counted(r); got != "600 accepted" || len(s.Mails()) != groups {
				t.Errorf("%d at once: got %s, %d mailed", most, got, len(s.Mails()))
			}
			if last := moved[len(moved)-1]; last.Sends != most || !strings.Contains(last.Why, "max_prepared_transactions") {
				t.Errorf("%d at once: the limit is %d: %s", most, last.Sends, last.Why)
			}
			if !strings.Contains(fmt.Sprint(r.Document.Notes), "max_prepared_transactions") {
				t.Errorf("%d at once: the report says %q", most, r.Document.Notes)
			}
			if n := extra(r); n == 0 || n > 3 {
				t.Errorf("%d at once: %d sends were undone, want 1 to 3", most, n)
			}
		})
	}
}

// quickPages are visitors who wait for a quick page each second.
type quickPages struct{}

func (quickPages) Watch(ctx context.Context, limit *ratelimit.Adaptive) (over func()) {
	const page = 40 * time.Millisecond
	limit.Baseline(page)
	ctx, cancel := context.WithCancel(ctx)
	var pages sync.WaitGroup
	pages.Go(func() {
		for tick := time.Tick(time.Second); ; {
			select {
			case <-tick:
				limit.Canary(page, true)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		pages.Wait()
	}
}

func TestAGroupThatFindsNoPreparedTransactionAloneFailsByItselfAndTheOthersDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{
			Groups: numbered(100), Threads: 4, Cost: always(time.Second),
			Faults: []standin.Fault{{Pattern: "main/g0050", Kind: standin.NoPrepared}},
		})
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 4, Retries: 2, GiveUpAfter: 15 * time.Minute})
		if got := counted(r); got != "99 accepted, 1 not_ok" {
			t.Errorf("got %s", got)
		}
		if len(r.Document.Causes) != 1 || !strings.Contains(r.Document.Causes[0].Reason, "pg_prepared_xacts") {
			t.Errorf("got %+v, want a cause that names pg_prepared_xacts", r.Document.Causes)
		}
		if n := extra(r); n > 3+2 {
			t.Errorf("it was tried %d times more, want 5 at most: three with others in flight, and two", n)
		}
	})
}
