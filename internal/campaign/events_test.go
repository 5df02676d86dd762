package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// hear has f hear of one kind of event.
func hear[E campaign.Event](f func(E)) []campaign.Observer {
	return []campaign.Observer{campaign.ObserverFunc(func(e campaign.Event) {
		if e, ok := e.(E); ok {
			f(e)
		}
	})}
}

// planned has f hear what a run is about to send to.
func planned(f func(*campaign.Plan)) []campaign.Observer {
	return hear(func(e campaign.Planned) { f(e.Plan) })
}

// kinds keeps the kinds of events, each as often as it comes after another.
type kinds []string

func (k *kinds) Observe(e campaign.Event) {
	name := fmt.Sprintf("%T", e)[len("campaign."):]
	if len(*k) == 0 || (*k)[len(*k)-1] != name {
		*k = append(*k, name)
	}
}

func TestEveryRunTellsOfItsStepsInOrder(t *testing.T) {
	cause := errors.New("stopped")
	for _, tt := range []struct {
		name  string
		fault string // of the list; empty: none
		do    func(*campaign.Settings)
		stop  time.Duration // 0: never
		want  []string
	}{
		{"all goes well", "", nil, 0, []string{"Began", "Listing", "Planned", "Sending", "Send", "Ended"}},
		{"no list", "list=404", nil, 0, []string{"Began", "Listing", "Ended"}},
		{"a list that comes late", "list=500*2", nil, 0, []string{"Began", "Listing", "Unlisted", "Planned", "Sending", "Send", "Ended"}},
		{"a stop before the list", "list=hang", nil, time.Second, []string{"Began", "Listing", "Stopping", "Ended"}},
		{"a stop among the sends", "", nil, time.Second, []string{"Began", "Listing", "Planned", "Sending", "Send", "Stopping", "Send", "Ended"}},
		{"a limit that is found", "", func(s *campaign.Settings) { s.Auto, s.Visitors = true, quickPages{} }, 0, []string{
			"Began", "Listing", "Planned", "Measuring", "Sending", "Send", "Limited", "Send", "Ended",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := standin.Options{Groups: numbered(30), Threads: 16, Cost: always(2 * time.Second)}
				if tt.fault != "" {
					fault, err := standin.ParseFault(tt.fault)
					if err != nil {
						t.Fatal(err)
					}
					o.Faults = append(o.Faults, fault)
				}
				_, c := site(t, o)
				var told kinds
				s := campaign.Settings{URL: siteURL, Workers: 2, GiveUpAfter: time.Minute, Observers: []campaign.Observer{&told}}
				if tt.do != nil {
					tt.do(&s)
				}
				ctx := t.Context()
				if tt.stop > 0 {
					ctx = endsWith(t, tt.stop, cause)
				}
				run(ctx, c, s)
				if !slices.Equal(told, tt.want) {
					t.Errorf("got %v, want %v", told, tt.want)
				}
			})
		})
	}
}

// What is on file before a request leaves is there before anybody else hears of it.
func TestTheJournalHearsOfEverythingFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{Groups: numbered(3), Cost: always(time.Second)})
		dir, err := state.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		const name = "20251125T020000Z-0001"
		in := state.Installation{Site: "0123456789abcdef", Token: "0123456789abcdef"}
		w, err := dir.Begin(state.Header{Campaign: "digest", Run: name, URL: siteURL, Installation: in, Started: time.Now(), Workers: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		onFile := func() *state.Run {
			r, err := dir.Load(name)
			if err != nil {
				t.Fatalf("%s: %v", filepath.Base(w.Path()), err)
			}
			return r
		}
		heard := 0
		r := run(t.Context(), c, campaign.Settings{
			URL: siteURL, Workers: 1, Observers: []campaign.Observer{campaign.ObserverFunc(func(e campaign.Event) {
				switch e := e.(type) {
				case campaign.Planned:
					if heard++; !onFile().Listed {
						t.Error("told of a plan that is not on file")
					}
				case campaign.Send:
					heard++
					g, _ := e.Result.Job.(state.Group)
					if entry, _ := onFile().Entry(g); entry.Attempts != e.Result.Attempts {
						t.Errorf("told of try %d of %v, on file: %d", e.Result.Attempts, g, entry.Attempts)
					}
				case campaign.Ended:
					if heard++; onFile().Finished.IsZero() {
						t.Error("told of an end that is not on file")
					}
				}
			})},
		}, campaign.Kept{Run: name, Journal: w})
		if err := r.Unwritten; err != nil || heard != 1+2*3+1 {
			t.Errorf("heard of %d events, %v", heard, err)
		}
	})
}

func TestObserversHearOfOneEventAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{Groups: numbered(200), Threads: 16, Cost: always(time.Second), MaxPrepared: 3})
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		inside := 0 // not guarded: the race detector looks, too
		run(ctx, c, campaign.Settings{
			URL: siteURL, Workers: 16, Retries: 2, Auto: true, Visitors: quickPages{},
			Observers: []campaign.Observer{campaign.ObserverFunc(func(campaign.Event) {
				if inside++; inside > 1 {
					t.Error("two at once")
				}
				runtime.Gosched() // others may come between
				inside--
			})},
		})
	})
}
