package campaign_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// patient are settings whose back-off is a second each time.
func patient() campaign.Settings {
	return campaign.Settings{
		URL: siteURL, Workers: 1, GiveUpAfter: 15 * time.Minute,
		Backoff: func(int) time.Duration { return time.Second },
	}
}

func TestAListThatCannotBeHadIsAskedForAgain(t *testing.T) {
	for _, tt := range []struct {
		fault string
		wall  float64
	}{
		{"list=500*3", 3},
		{"list=database-restart:5s*1", 5},
		{"list=proxy-502*3", 3},
		{"list=proxy-503*3", 3},
		{"list=proxy-504*3", 3},
		{"list=too-many:30*2", 60},
		{"list=reset*3", 3},
		{"list=reset-early*3", 3},
		{"list=cut-body*3", 3},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fault, err := standin.ParseFault(tt.fault)
				if err != nil {
					t.Fatal(err)
				}
				_, c := site(t, standin.Options{Groups: numbered(3), Faults: []standin.Fault{fault}})
				r := run(t.Context(), c, patient())
				if got := counted(r); got != "3 accepted" || r.Err != nil || r.Document.Seconds.Wall != tt.wall {
					t.Errorf("got %s, %v after %v s, want all accepted after %v s", got, r.Err, r.Document.Seconds.Wall, tt.wall)
				}
			})
		})
	}
}

func TestAPauseIsNoTimeInWhichTheListCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := frail(t, standin.Options{Groups: numbered(3)}, 0, 24*time.Hour)
		s, began := patient(), time.Now()
		s.Steering = &campaign.Steering{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			after(t, s.Steering, time.Minute, "pause", "")
			after(t, s.Steering, time.Hour, "resume", "")
			after(t, s.Steering, time.Minute, "pause", "")
			after(t, s.Steering, time.Hour, "resume", "")
		}()
		r := run(t.Context(), c, s)
		<-done
		if took, want := time.Since(began), 2*time.Hour+15*time.Minute; r.Err == nil || took != want {
			t.Errorf("given up after %v, %v, want %v", took, r.Err, want)
		}
	})
}

func TestARefusedConnectionIsTriedAgainUntilGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := frail(t, standin.Options{Groups: numbered(3)}, 0, time.Hour)
		s := patient()
		s.GiveUpAfter = time.Minute
		asked := 0
		s.Observers = hear(func(campaign.Unlisted) { asked++ })
		r := run(t.Context(), c, s)
		listed, ok := errors.AsType[*campaign.ListError](r.Err)
		if !ok || listed.Error() != "list of groups: connection refused" || listed.Asked != 61 || listed.For != time.Minute || asked != 60 {
			t.Errorf("got %#v, told %d times, want 61 requests in a minute", r.Err, asked)
		}
		if r.Document.Seconds.Wall != 60 {
			t.Errorf("gave up after %v s, want 60", r.Document.Seconds.Wall)
		}
	})
}

func TestASiteThatComesBackInTimeIsSentTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := frail(t, standin.Options{Groups: numbered(3)}, 0, 50*time.Second)
		s := patient()
		s.Backoff, s.GiveUpAfter = nil, time.Minute // the usual back-off
		if r := run(t.Context(), c, s); counted(r) != "3 accepted" {
			t.Errorf("got %s, %v after %v s", counted(r), r.Err, r.Document.Seconds.Wall)
		}
	})
}

func TestARunThatGoesOnWithAnotherWaitsForTheListToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{
			Groups: numbered(3), Faults: []standin.Fault{{Pattern: standin.ListPattern, Kind: standin.Reset, Times: 2}},
		})
		previous := campaign.Kept{Previous: &campaign.Previous{Run: &state.Run{}, Ended: time.Now()}}
		if r := run(t.Context(), c, patient(), previous); counted(r) != "3 accepted" || r.Document.Seconds.Wall != 2 {
			t.Errorf("got %s, %v after %v s", counted(r), r.Err, r.Document.Seconds.Wall)
		}
	})
}

func TestAPauseLongerThanThePatienceEndsTheRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{
			Groups: numbered(3), Faults: []standin.Fault{{Pattern: standin.ListPattern, Kind: standin.TooMany, RetryAfter: "3600"}},
		})
		r := run(t.Context(), c, patient())
		if refused, ok := errors.AsType[*hooks.NotOKError](r.Err); !ok || refused.Status != 429 || r.Document.Seconds.Wall != 0 {
			t.Errorf("got %v after %v s", r.Err, r.Document.Seconds.Wall)
		}
	})
}

func TestADeadlineEndsTheWaitForTheListAndKeepsItsCause(t *testing.T) {
	for name, faults := range map[string][]standin.Fault{
		"between two requests": {{Pattern: standin.ListPattern, Kind: standin.Error500}},
		"while the site is asked again": {
			{Pattern: standin.ListPattern, Kind: standin.Error500, Times: 1}, {Pattern: standin.ListPattern, Kind: standin.Hang},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := site(t, standin.Options{Groups: numbered(3), Faults: faults})
				r := run(deadline(t, 10*time.Second+time.Millisecond), c, patient())
				if stopped(r) != "deadline" || r.Document.Seconds.Wall != 10.001 || !strings.Contains(r.StoppedBy.Error(), "500 Internal Server Error") {
					t.Errorf("stopped by %v after %v s", r.StoppedBy, r.Document.Seconds.Wall)
				}
			})
		})
	}
}

// What asks for somebody's hand: patience would only keep that person from hearing of it.
func TestWhatDoesNotPassIsNotAskedForAgain(t *testing.T) {
	for _, fault := range []string{"404", "503", "own-503", "blank", "html", "login", "half-json", "dicts", "wrong-token"} {
		t.Run(fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, err := standin.ParseFault("list=" + fault)
				if err != nil {
					t.Fatal(err)
				}
				_, c := site(t, standin.Options{Groups: numbered(3), Faults: []standin.Fault{f}})
				if r := run(t.Context(), c, patient()); r.Err == nil || r.Document.Seconds.Wall != 0 {
					t.Errorf("got %v after %v s", r.Err, r.Document.Seconds.Wall)
				}
			})
		})
	}
	for _, err := range []error{
		&net.DNSError{Name: "nosuchhost.invalid", IsNotFound: true},
		&hooks.ProxyError{Status: 407},
		&tls.CertificateVerificationError{Err: errors.New("expired")},
		tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"},
	} {
		t.Run(fmt.Sprintf("%T", err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, failingTransport{err})
				if r := run(t.Context(), c, patient()); r.Err == nil || r.Document.Seconds.Wall != 0 {
					t.Errorf("got %v after %v s", r.Err, r.Document.Seconds.Wall)
				}
			})
		})
	}
}

// A failingTransport makes no request.
type failingTransport struct{ err error }

func (f failingTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestFetchAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{Groups: numbered(3), Faults: []standin.Fault{{Pattern: standin.ListPattern, Kind: standin.Error500}}})
		_, err := campaign.Preview(t.Context(), campaign.Digest(c, nil), patient())
		if listed, ok := errors.AsType[*campaign.ListError](err); !ok || listed.Asked != 1 || len(s.Requests()) != 1 {
			t.Errorf("got %v after %d requests", err, len(s.Requests()))
		}
	})
}

// A run without a list, or whose sends do not fit, has no end to wait for: its report is made while orders come.
func TestNoOrderThatIsAnsweredIsMissingInTheReportOfARunThatSendsNothing(t *testing.T) {
	none := standin.Options{Groups: numbered(5), Faults: []standin.Fault{{Pattern: standin.ListPattern, Kind: standin.NotFound}}}
	for name, o := range map[string]standin.Options{"no list": none, "no time": {Groups: numbered(5), Cost: always(time.Minute)}} {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				synctest.Test(t, func(t *testing.T) {
					_, c := site(t, o)
					h, err := state.LoadHistory(filepath.Join(t.TempDir(), "history"))
					if err != nil {
						t.Fatal(err)
					}
					run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1}, campaign.Kept{History: h}) // tells what the sends take
					s, done := campaign.Settings{
						URL: siteURL, Workers: 1, RequireFit: true, MaxDuration: time.Second, Steering: &campaign.Steering{},
					}, make(chan int)
					s.Observers = hear(func(campaign.Listing) {
						go func() {
							answered := 0
							for answered < 1000 {
								if _, err := s.Steering.Do("rate", strconv.Itoa(2+answered%5)); err != nil {
									break
								}
								answered++
							}
							done <- answered
						}()
					})
					r := run(t.Context(), c, s, campaign.Kept{History: h})
					if got, want := len(r.Document.Steered), <-done; got != want || counted(r) != "" && counted(r) != "5 not_attempted" {
						t.Errorf("%s: %d orders are on record, %d were answered", counted(r), got, want)
					}
				})
			}
		})
	}
}
