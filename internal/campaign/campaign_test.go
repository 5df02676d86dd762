package campaign_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"regexp"
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
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/ratelimit"
)

const siteURL = "http://groups.example.com/"

// numbered are n groups of one site.
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

// site starts a stand-in on a pipe, with a client for it. Both end with the test. It is called inside the bubble.
func site(t testing.TB, o standin.Options) (*standin.Site, *hooks.Client) {
	t.Helper()
	s := standin.New(o)
	pipe := standin.Pipe()
	server := s.Serve(pipe)
	transport := hooks.NewTransport(hooks.TransportOptions{})
	transport.Proxy, transport.DialContext = nil, pipe.DialContext
	c := client(t, transport)
	t.Cleanup(func() {
		server.Close()
		s.Close()
	})
	return s, c
}

// run makes a run of the digests on what a test kept of earlier ones.
func run(ctx context.Context, c *hooks.Client, s campaign.Settings, kept ...campaign.Kept) campaign.Result {
	if len(kept) == 0 {
		kept = make([]campaign.Kept, 1)
	}
	return campaign.RunOn(ctx, campaign.Digest(c, nil), s, kept[0])
}

func client(t testing.TB, transport http.RoundTripper) *hooks.Client {
	t.Helper()
	u, err := hooks.ParseURL(siteURL)
	if err != nil {
		t.Fatal(err)
	}
	return hooks.New(u, hooks.NewToken(standin.DefaultToken), hooks.Options{Transport: transport})
}

// outcomes says what became of each group, by its name without the site.
func outcomes(r campaign.Result) map[string]string {
	all := map[string]string{}
	for g := range r.Document.Groups() {
		all[g.Group] = g.Outcome
	}
	return all
}

// counted are the outcomes of a run and how many groups had each.
func counted(r campaign.Result) string {
	n := map[string]int{}
	for g := range r.Document.Groups() {
		n[g.Outcome]++
	}
	var words []string
	for _, o := range dispatcher.Outcomes() {
		if n[o.String()] > 0 {
			words = append(words, fmt.Sprintf("%d %v", n[o.String()], o))
		}
	}
	return strings.Join(words, ", ")
}

// stopped is the word of a run's report for what stopped it.
func stopped(r campaign.Result) string {
	if r.Document.StoppedBy == nil {
		return ""
	}
	return *r.Document.StoppedBy
}

func TestARunSendsToEachGroupOnceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		groups := standin.Generate(300, 7)
		s, c := site(t, standin.Options{Groups: groups, Threads: 8, Cost: standin.HeavyTail(7)})
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1})
		if got, want := counted(r), "300 accepted"; got != want || r.Err != nil || r.StoppedBy != nil {
			t.Errorf("got %s, %v, %v, want %s", got, r.Err, r.StoppedBy, want)
		}

		var sent []standin.Group
		for _, q := range s.Requests() {
			if q.Hook == standin.Send {
				sent = append(sent, q.Group)
			}
		}
		slices.SortFunc(groups, func(a, b standin.Group) int { return strings.Compare(a.Site+"\x00"+a.Group, b.Site+"\x00"+b.Group) })
		if diff := cmp.Diff(sent, groups); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		for g, n := range s.Mails() {
			if n != 1 {
				t.Errorf("%v was mailed %d times", g, n)
			}
		}
	})
}

func TestNoMoreWorkersThanAllowedAndNoFewer(t *testing.T) {
	for _, workers := range []int{0, 1, 2, 5, 16, 40} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const groups = 80
				s, c := site(t, standin.Options{Groups: numbered(groups), Threads: 100, Cost: always(time.Second)})
				r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: workers})
				if got, want := s.MaxInFlight(), max(workers, 1); got != want {
					t.Errorf("most in flight: got %d, want %d", got, want)
				}
				// Sends of one length keep all workers busy to the end.
				if got, want := r.Document.Seconds.Wall, math.Ceil(groups/float64(max(workers, 1))); got != want {
					t.Errorf("got %v s, want %v s", got, want)
				}
				if got := counted(r); got != "80 accepted" || s.Overlaps() != 0 {
					t.Errorf("got %s and %d overlaps", got, s.Overlaps())
				}
			})
		})
	}
}

func TestTheRateHoldsInEveryWindow(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		rate    ratelimit.Rate
		burst   int
		workers int
		cost    time.Duration
	}{
		{10, 1, 4, ms},
		{10, 1, 4, 150 * ms},
		{10, 5, 4, ms},
		{3, 1, 2, 10 * ms},
		{7, 3, 10, 800 * ms},
		{0.5, 2, 4, 3 * time.Second},
		{1000, 1, 8, ms},
		{1000, 50, 100, 7 * ms},
	} {
		t.Run(fmt.Sprintf("rate=%v/burst=%d/workers=%d/cost=%v", tt.rate, tt.burst, tt.workers, tt.cost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const groups = 120
				s, c := site(t, standin.Options{Groups: numbered(groups), Threads: 100, Cost: always(tt.cost)})
				r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: tt.workers, Rate: tt.rate, Burst: tt.burst})
				if got := counted(r); got != "120 accepted" {
					t.Fatalf("got %s", got)
				}
				for _, window := range []time.Duration{
					ms, 10 * ms, 99 * ms, 100 * ms, 101 * ms, 333 * ms, 500 * ms, time.Second, 1001 * ms, 2 * time.Second,
					3500 * ms, 10 * time.Second, time.Minute, time.Hour,
				} {
					most := int(math.Floor(float64(tt.rate)*window.Seconds())) + tt.burst
					if got := s.MaxInWindow(window); got > most {
						t.Errorf("%d sends began within %v, want at most %d", got, window, most)
					}
				}
				// The rate is used, too, where neither the workers nor the site hold the run up.
				if float64(tt.workers) >= float64(tt.rate)*tt.cost.Seconds()+float64(tt.burst) {
					at := s.Starts()
					got, want := at[groups-1].Sub(at[0]).Seconds(), float64(groups-tt.burst)/float64(tt.rate)
					if math.Abs(got-want) > 1e-6 {
						t.Errorf("the sends began within %v s, want %v s", got, want)
					}
				}
			})
		})
	}
}

func TestAWorkerRestsAfterASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{Groups: numbered(4), Cost: always(time.Second)})
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1, Throttle: 500 * time.Millisecond})
		at := s.Starts()
		for i := 1; i < len(at); i++ {
			if got := at[i].Sub(at[i-1]); got != 1500*time.Millisecond {
				t.Errorf("send %d came %v after the one before, want 1.5s", i, got)
			}
		}
		if got := r.Document.Seconds.Wall; got != 5.5 {
			t.Errorf("got %v s, want 5.5 s: nothing is left to rest for after the last", got)
		}
	})
}

// One group for each way in which the stand-in can go wrong, in one run.
func TestEveryFaultEndsAsTheCatalogueSays(t *testing.T) {
	type end struct {
		outcome string
		status  int
	}
	want := map[standin.Kind]end{
		standin.Error500: {"not_ok", 500}, standin.DigestError: {"not_ok", 500}, standin.CommitError: {"not_ok", 500},
		standin.Conflict: {"not_ok", 500}, standin.SiteError: {"not_ok", 500}, standin.Bare500: {"not_ok", 500},
		standin.OwnError: {"not_ok", 500}, standin.NoPrepared: {"not_ok", 500}, standin.OwnError503: {"not_ok", 503},
		standin.DatabaseLost: {"not_ok", 500}, standin.DatabaseAway: {"not_ok", 500}, standin.DatabaseRestart: {"not_ok", 500},
		standin.Error503: {"not_ok", 503}, standin.NotFound: {"not_ok", 404},
		standin.Proxy502: {"ambiguous", 502}, standin.Proxy503: {"not_ok", 503}, standin.Proxy504: {"ambiguous", 504},
		standin.TooMany: {"not_ok", 429}, standin.WrongToken: {"rejected", 200}, standin.Blank: {"unknown_group", 200},
		standin.Login: {"unexpected", 200}, standin.HTML: {"unexpected", 200},
		standin.Reset: {"ambiguous", 0}, standin.ResetEarly: {"ambiguous", 0}, standin.Hang: {"ambiguous", 0},
		standin.CutBody: {"ambiguous", 0}, standin.SlowBody: {"accepted", 200},
		standin.Redirect301: {"not_ok", 301}, standin.Redirect302: {"not_ok", 302}, standin.Redirect303: {"not_ok", 303},
		standin.Redirect307: {"not_ok", 307}, standin.Redirect308: {"not_ok", 308},
	}
	synctest.Test(t, func(t *testing.T) {
		var groups []standin.Group
		var faults []standin.Fault
		kinds := map[string]standin.Kind{}
		for _, kind := range standin.Kinds() {
			switch kind {
			case standin.HalfJSON, standin.Dicts, standin.Huge:
				continue // of the list alone
			}
			name := kind.String()
			if kind == standin.WrongToken {
				name = "zz-last" // it ends the run
			}
			g := standin.Group{Site: "main", Group: name}
			fault := standin.Fault{Pattern: g.Site + "/" + g.Group, Kind: kind}
			switch {
			case strings.HasPrefix(kind.String(), "redirect"):
				fault.URL = "https://elsewhere.example.com$PATH"
			case kind == standin.DatabaseRestart:
				fault.Delay = time.Nanosecond // the others need it
			}
			groups, faults, kinds[name] = append(groups, g), append(faults, fault), kind
		}
		good := standin.Group{Site: "main", Group: "zz-good"}
		groups = append(groups, good)
		s, c := site(t, standin.Options{Groups: groups, Threads: 4, Cost: always(100 * time.Millisecond), Faults: faults})
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1})

		mails := s.Mails()
		for g := range r.Document.Groups() {
			kind, broken := kinds[g.Group]
			expected := end{"accepted", 200}
			if broken {
				expected = want[kind]
			}
			if got := (end{g.Outcome, g.Status}); got != expected {
				t.Errorf("%s: got %+v, want %+v", g.Group, got, expected)
			}
			// The site's own log has the last word.
			mailed := mails[standin.Group{Site: g.Site, Group: g.Group}]
			switch g.Outcome {
			case "accepted":
				if mailed != 1 {
					t.Errorf("%s: accepted, and mailed %d times", g.Group, mailed)
				}
			case "ambiguous":
				if mailed > 1 {
					t.Errorf("%s: mailed %d times", g.Group, mailed)
				}
			default:
				if mailed != 0 {
					t.Errorf("%s: %s, and yet mailed", g.Group, g.Outcome)
				}
			}
			if strings.Contains(g.Error+g.Reason, standin.DefaultToken) {
				t.Errorf("%s: the token is in %q", g.Group, g.Error)
			}
		}
		if got := s.Overlaps(); got != 0 {
			t.Errorf("got %d overlaps", got)
		}
		if !errors.Is(r.StoppedBy, campaign.ErrToken) {
			t.Errorf("stopped by %v, want %v", r.StoppedBy, campaign.ErrToken)
		}
	})
}

// roundTripper is a site of one function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status), Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// list is an answer of the groups hook.
func list(names ...string) *http.Response {
	var pairs [][2]string
	for _, name := range names {
		pairs = append(pairs, [2]string{"main", name})
	}
	body, _ := json.Marshal(pairs) // strings always can be
	return answer(200, "application/json", string(body))
}

// asked is the group that a request is for; empty for the list.
func asked(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	_, rest, _ := strings.Cut(string(body), "form.groupId=")
	group, _, _ := strings.Cut(rest, "&")
	return group
}

func TestEveryStatusIsExactlyOneOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for status := 200; status < 600; status++ {
			names = append(names, fmt.Sprint(status))
		}
		c := client(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			group := asked(r)
			if group == "" {
				return list(names...), nil
			}
			var status int
			_, _ = fmt.Sscan(group, &status)
			return answer(status, "text/html", "<title>some page</title>"), nil
		}))
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 3})
		got := outcomes(r)
		if len(got) != len(names) || r.Document.Counts.Groups != len(names) {
			t.Errorf("got %d outcomes of %d groups, want %d", len(got), r.Document.Counts.Groups, len(names))
		}
		for g := range r.Document.Groups() {
			want := "not_ok"
			switch g.Group {
			case "200":
				want = "unexpected" // a 200 proves nothing
			case "502", "504", "520", "522", "524":
				want = "ambiguous"
			}
			if g.Outcome != want || fmt.Sprint(g.Status) != g.Group {
				t.Errorf("%s: got %s, status %d, want %s", g.Group, g.Outcome, g.Status, want)
			}
		}
	})
}

func TestWhatNeverLeftIsUnreachableAndWhatLeftIsAmbiguous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		c := client(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(r.URL.Path, standin.GroupsPath):
				return list("1-before", "2-after"), nil
			case first: // only the form names the group, and to read it is to send it
				first = false
				return nil, syscall.ECONNREFUSED
			}
			_ = asked(r)
			return nil, syscall.ECONNRESET
		}))
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1})
		if diff := cmp.Diff(outcomes(r), map[string]string{"1-before": "unreachable", "2-after": "ambiguous"}); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

func TestASiteThatGoesAwayAfterItsListIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, pipe := standin.New(standin.Options{Groups: numbered(3)}), standin.Pipe()
		server := s.Serve(pipe)
		defer s.Close()
		defer server.Close()
		transport := hooks.NewTransport(hooks.TransportOptions{})
		transport.Proxy, transport.DialContext = nil, pipe.DialContext
		r := run(t.Context(), client(t, transport), campaign.Settings{
			URL: siteURL, Workers: 1, Observers: planned(func(*campaign.Plan) { server.Close() }),
		})
		if got, want := counted(r), "3 unreachable"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := len(s.Mails()); got != 0 {
			t.Errorf("%d groups were mailed", got)
		}
	})
}

// deadline ends a run after some time, as the command line does.
func deadline(t *testing.T, after time.Duration) context.Context {
	t.Helper()
	return endsWith(t, after, &campaign.DeadlineError{At: time.Now().Add(after), Option: "--deadline 05:30"})
}

func endsWith(t *testing.T, after time.Duration, cause error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(after, func() { cancel(cause) })
	t.Cleanup(func() { timer.Stop(); cancel(nil) })
	return ctx
}

func TestADeadlineDuringTheListSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{Groups: numbered(5), Faults: []standin.Fault{{Pattern: "list", Kind: standin.Hang}}})
		r := run(deadline(t, 30*time.Second), c, campaign.Settings{
			URL: siteURL, Workers: 2, Observers: planned(func(*campaign.Plan) { t.Error("told of a list") }),
		})
		if _, ok := errors.AsType[*campaign.DeadlineError](r.StoppedBy); !ok || r.Err != nil {
			t.Errorf("got stopped by %v, error %v, want a DeadlineError", r.StoppedBy, r.Err)
		}
		d := r.Document
		if stopped(r) != "deadline" || d.Complete || d.Counts != (report.Counts{}) || d.Seconds.Wall != 30 {
			t.Errorf("got %q, complete %t, %+v, %v s, want a deadline after 30 s", stopped(r), d.Complete, d.Counts, d.Seconds.Wall)
		}
		if got, want := d.Error, "time was over (--deadline 05:30)"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := len(s.Starts()); got != 0 {
			t.Errorf("%d sends", got)
		}
	})
}

func TestADeadlineLetsEndWhatIsInFlight(t *testing.T) {
	for _, tt := range []struct {
		name     string
		groups   int
		after    time.Duration
		want     string
		stopped  string
		complete bool
		wall     float64
	}{
		{"before the first send", 10, 0, "10 not_attempted", "deadline", false, 0},
		{"in the middle", 10, 5 * time.Second, "6 accepted, 4 not_attempted", "deadline", false, 6},
		{"while the last are in flight", 6, 5 * time.Second, "6 accepted", "", true, 6},
		{"after the end", 4, 5 * time.Second, "4 accepted", "", true, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := site(t, standin.Options{Groups: numbered(tt.groups), Cost: always(2 * time.Second)})
				ctx, listed := deadline(t, tt.after), func(*campaign.Plan) {}
				if tt.after == 0 {
					timeOver := &campaign.DeadlineError{Option: "--deadline 05:30"}
					cancelled, cancel := context.WithCancelCause(t.Context())
					ctx, listed = cancelled, func(*campaign.Plan) { cancel(timeOver) } // between the list and the first send
				}
				r := run(ctx, c, campaign.Settings{URL: siteURL, Workers: 2, Observers: planned(listed)})
				if got := counted(r); got != tt.want || stopped(r) != tt.stopped || r.Document.Complete != tt.complete || r.Err != nil {
					t.Errorf("got %s, %q, complete %t, %v, want %s, %q, %t", got, stopped(r), r.Document.Complete, r.Err, tt.want, tt.stopped, tt.complete)
				}
				if got := r.Document.Seconds.Wall; got != tt.wall {
					t.Errorf("got %v s, want %v s", got, tt.wall)
				}
				if got, want := len(s.Mails()), r.Document.Counts.Accepted; got != want {
					t.Errorf("%d mails for %d accepted", got, want)
				}
				for g := range r.Document.Groups() {
					if g.Outcome == "not_attempted" && g.Reason != "time was over (--deadline 05:30)" {
						t.Errorf("got reason %q", g.Reason)
					}
				}
				if r.Document.Error != "" {
					t.Errorf("got error %q, want none: there was a list", r.Document.Error)
				}
			})
		})
	}
}

// The first signal lets what is in flight end, the second cuts it.
func TestWhatASecondSignalCutsIsAmbiguous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{Groups: numbered(10), Cost: always(10 * time.Second)})
		signal := &campaign.SignalError{Signal: os.Interrupt}
		r := run(endsWith(t, time.Second, signal), c, campaign.Settings{
			URL: siteURL, Workers: 2, Abort: endsWith(t, 3*time.Second, signal),
		})
		if got, want := counted(r), "2 ambiguous, 8 not_attempted"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if stopped(r) != "signal" || r.StoppedBy != error(signal) || r.Document.Seconds.Wall != 3 {
			t.Errorf("got %q, %v, %v s, want the signal after 3 s", stopped(r), r.StoppedBy, r.Document.Seconds.Wall)
		}
		// Zope does not notice, and that is why they are ambiguous.
		time.Sleep(time.Minute)
		if got := len(s.Mails()); got != 2 {
			t.Errorf("%d groups were mailed, want 2", got)
		}
	})
}

func TestWithoutAListThereIsAnErrorAndNoSend(t *testing.T) {
	for _, tt := range []struct {
		fault   standin.Fault
		stopped string
		want    string // in Document.Error
	}{
		{standin.Fault{Kind: standin.Error500}, "", "list of groups: 500 Internal Server Error"},
		{standin.Fault{Kind: standin.NotFound}, "", "list of groups: 404 Not Found"},
		{standin.Fault{Kind: standin.Proxy502}, "", "list of groups: 502 Bad Gateway"},
		{standin.Fault{Kind: standin.Login}, "", "list of groups: 200, but not the hook's page"},
		{standin.Fault{Kind: standin.Blank}, "", "list of groups: 200, but the hook describes itself"},
		{standin.Fault{Kind: standin.HalfJSON}, "", "list of groups: the list of groups makes no sense"},
		{standin.Fault{Kind: standin.Dicts}, "", "list of groups: the list of groups makes no sense"},
		{standin.Fault{Kind: standin.ResetEarly}, "", "list of groups: "},
		{standin.Fault{Kind: standin.CutBody}, "", "list of groups: the answer was cut short"},
		{standin.Fault{Kind: standin.Hang}, "", "list of groups: no whole answer within 4m0s"},
		{standin.Fault{Kind: standin.Redirect302, URL: "https://elsewhere.example.com/"}, "", "list of groups: 302 redirect to https://elsewhere.example.com/ not followed"},
		{standin.Fault{Kind: standin.WrongToken}, "token", "list of groups: the site refused the token"},
	} {
		t.Run(tt.fault.Kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.fault.Pattern = standin.ListPattern
				s, c := site(t, standin.Options{Groups: numbered(5), Faults: []standin.Fault{tt.fault}})
				r := run(t.Context(), c, campaign.Settings{
					URL: siteURL, Workers: 2, GiveUpAfter: time.Minute, Observers: planned(func(*campaign.Plan) { t.Error("told of a list") }),
				})
				e, ok := errors.AsType[*campaign.ListError](r.Err)
				if !ok || r.StoppedBy != nil {
					t.Fatalf("got error %v, stopped by %v, want a ListError", r.Err, r.StoppedBy)
				}
				if errors.Unwrap(e) == nil || e.Error() != e.Err.Error() {
					t.Errorf("got %q around %v, want no more than its cause", e, e.Err)
				}
				d := r.Document
				if !strings.HasPrefix(d.Error, tt.want) || strings.Contains(d.Error, standin.DefaultToken) {
					t.Errorf("got %q, want %q", d.Error, tt.want)
				}
				if stopped(r) != tt.stopped || d.Complete || d.Counts != (report.Counts{}) {
					t.Errorf("got %q, complete %t, %+v, want %q and nothing", stopped(r), d.Complete, d.Counts, tt.stopped)
				}
				if got := len(s.Starts()); got != 0 {
					t.Errorf("%d sends", got)
				}
			})
		})
	}
}

func TestAnEmptyListIsAWholeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{})
		told := -1
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 2, Observers: planned(func(p *campaign.Plan) { told = len(p.Groups) })})
		if d := r.Document; !d.Complete || d.Counts != (report.Counts{}) || r.Err != nil || r.StoppedBy != nil || told != 0 {
			t.Errorf("got %+v, %v, %v, told of %d", d, r.Err, r.StoppedBy, told)
		}
	})
}

func TestATokenThatIsRefusedEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{
			Groups: numbered(10), Cost: always(time.Second), Faults: []standin.Fault{{Pattern: "main/g0003", Kind: standin.WrongToken}},
		})
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 2})
		// The one beside it may end.
		if got, want := counted(r), "3 accepted, 1 rejected, 6 not_attempted"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if stopped(r) != "token" || !errors.Is(r.StoppedBy, campaign.ErrToken) || r.Err != nil || r.Document.Complete {
			t.Errorf("got %q, %v, %v, complete %t, want the token", stopped(r), r.StoppedBy, r.Err, r.Document.Complete)
		}
		if got := len(s.Starts()); got != 4 {
			t.Errorf("got %d sends, want 4", got)
		}
	})
}

func TestWhatTheUserLeavesOutIsSkippedAndSaidSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{Groups: numbered(6), Cost: always(time.Second)})
		var odd []campaign.Pattern
		for _, text := range []string{"*/*1", "*/*4"} {
			p, err := campaign.ParsePattern(text)
			if err != nil {
				t.Fatal(err)
			}
			odd = append(odd, p)
		}
		told := 0
		settings := campaign.Settings{URL: siteURL, Workers: 1, Exclude: odd, NoState: true, Observers: planned(func(p *campaign.Plan) { told = len(p.Groups) })}
		r := run(t.Context(), c, settings)
		if got, want := counted(r), "4 accepted, 2 skipped"; got != want || told != 4 || !r.Document.Complete {
			t.Errorf("got %s, told of %d, complete %t, want %s, 4, true", got, told, r.Document.Complete, want)
		}
		var order []string
		for g := range r.Document.Groups() {
			order = append(order, g.Group)
			if g.Outcome == "skipped" && (g.Reason != "left out by --exclude */*"+g.Group[4:] || g.Attempts != 0 || g.Worker != 0 || g.Start != 0) {
				t.Errorf("got %+v", g)
			}
		}
		if want := []string{"g0000", "g0002", "g0003", "g0005", "g0001", "g0004"}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v: those left out come last", order, want)
		}
		for g := range s.Mails() {
			if odd[0].Match(g.Site, g.Group) || odd[1].Match(g.Site, g.Group) {
				t.Errorf("%v was mailed, though it was left out", g)
			}
		}

		plan, err := campaign.Preview(t.Context(), campaign.Digest(c, nil), settings)
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Groups) != 4 || plan.Listed() != 6 {
			t.Errorf("the plan has %d of %d groups, want 4 of 6", len(plan.Groups), plan.Listed())
		}
		if got := len(s.Starts()); got != 4 {
			t.Errorf("%d sends, want 4: to plan is not to send", got)
		}
	})
}

func TestTooManyFailuresEndTheRun(t *testing.T) {
	half, err := campaign.ParsePattern("*/g000[0-9]")
	if err != nil {
		t.Fatal(err)
	}
	more, err := campaign.ParsePattern("*/g001?")
	if err != nil {
		t.Fatal(err)
	}
	only := []campaign.Pattern{half, more}
	for _, tt := range []struct {
		name    string
		limit   campaign.Share
		only    []campaign.Pattern
		want    string
		stopped string
	}{
		{"no limit", campaign.Share{}, nil, "40 not_ok", ""},
		{"a number", campaign.Share{N: 3}, nil, "3 not_ok, 37 not_attempted", "max_failures"},
		{"a share of the groups", campaign.Share{Percent: 10}, nil, "4 not_ok, 36 not_attempted", "max_failures"},
		{"a share of those sent to", campaign.Share{Percent: 10}, only, "2 not_ok, 18 not_attempted, 20 skipped", "max_failures"},
		{"as many as there are", campaign.Share{Percent: 100}, nil, "40 not_ok", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := site(t, standin.Options{
					Groups: numbered(40), Cost: always(time.Second), Faults: []standin.Fault{{Pattern: "*/*", Kind: standin.Error500}},
				})
				r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1, MaxFailures: tt.limit, Only: tt.only})
				if got := counted(r); got != tt.want || stopped(r) != tt.stopped {
					t.Errorf("got %s, %q, want %s, %q", got, stopped(r), tt.want, tt.stopped)
				}
				if got := errors.Is(r.StoppedBy, dispatcher.ErrMaxFailures); got != (tt.stopped != "") {
					t.Errorf("stopped by %v", r.StoppedBy)
				}
			})
		})
	}
}

func TestObserversAreToldOfEachSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{Groups: numbered(4), Unknown: numbered(5)[4:]})
		seen := map[string][]dispatcher.Kind{}
		run(t.Context(), c, campaign.Settings{
			URL: siteURL, Workers: 2,
			Observers: hear(func(e campaign.Send) {
				seen[e.Result.Job.Key()] = append(seen[e.Result.Job.Key()], e.Kind)
			}),
		})
		if len(seen) != 5 {
			t.Errorf("told of %d groups, want 5", len(seen))
		}
		for key, kinds := range seen {
			if !slices.Equal(kinds, []dispatcher.Kind{dispatcher.Started, dispatcher.Finished}) {
				t.Errorf("%s: got %v", key, kinds)
			}
		}
	})
}

// commands are those that a test's report proposes.
type commands struct{}

func (commands) Again(keys ...string) string {
	return strings.TrimSpace("again " + strings.Join(keys, " "))
}
func (commands) GoOn(mode campaign.Mode) string { return "senddigest " + string(mode) }
func (commands) Kept(mode campaign.Mode) string { return "senddigest " + string(mode) }

func TestTheReportIsOfThisRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, c := site(t, standin.Options{
			Groups: numbered(3), Unknown: []standin.Group{{Site: "parks", Group: "gone"}}, Cost: always(500 * time.Millisecond),
			Faults: []standin.Fault{{Pattern: "main/g0001", Kind: standin.Error500}},
		})
		r := run(t.Context(), c, campaign.Settings{
			URL: siteURL, Workers: 2, Rate: 4, Burst: 3,
			Commands: commands{},
		})
		var b bytes.Buffer
		if err := r.Document.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Schema            int
			Campaign, Run     string
			URL               string
			Started, Finished time.Time
			Complete          bool
			StoppedBy         *string `json:"stopped_by"`
			Workers           int
			Rate              float64
			Burst             int
			Counts            map[string]int
			Groups            []struct{ Site, Group, Outcome string }
		}
		if err := json.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Schema != 1 || got.Campaign != "digest" || got.URL != siteURL || !got.Complete || got.StoppedBy != nil ||
			got.Workers != 2 || got.Rate != 4 || got.Burst != 3 {
			t.Errorf("got %+v", got)
		}
		if !got.Started.Equal(began) || !got.Finished.Equal(time.Now()) {
			t.Errorf("got %v to %v, want %v to %v", got.Started, got.Finished, began, time.Now())
		}
		if !regexp.MustCompile(`^\d{8}T\d{6}Z-[0-9a-f]{4}$`).MatchString(got.Run) || !strings.HasPrefix(got.Run, began.UTC().Format("20060102T150405Z-")) {
			t.Errorf("got run %q, begun at %v", got.Run, began.UTC())
		}
		want := map[string]int{
			"groups": 4, "accepted": 2, "not_ok": 1, "unknown_group": 1, "rejected": 0, "unexpected": 0, "unreachable": 0,
			"ambiguous": 0, "not_attempted": 0, "skipped": 0, "retries": 0, "guarded": 0,
		}
		if diff := cmp.Diff(got.Counts, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		if g := got.Groups[3]; g.Site != "parks" || g.Group != "gone" || g.Outcome != "unknown_group" {
			t.Errorf("got %+v", g)
		}
		b.Reset()
		if err := r.Document.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if got, want := b.String(), "next:\n    again main/g0001\n    (a digest mailed more than"; !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	})
}

func TestStopWordIsTheContracts(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  string
	}{
		{nil, ""},
		{campaign.ErrToken, "token"},
		{&ratelimit.DownError{For: 15 * time.Minute}, "site_down"},
		{fmt.Errorf("rate limit: %w", &ratelimit.DownError{}), "site_down"},
		{dispatcher.ErrMaxFailures, "max_failures"},
		{&campaign.DeadlineError{Option: "--max-duration 3h"}, "deadline"},
		{&campaign.SignalError{Signal: os.Interrupt}, "signal"},
		{&campaign.SignalError{Signal: syscall.SIGTERM}, "signal"},
		{fmt.Errorf("rate limit: %w", &campaign.SignalError{Signal: os.Interrupt}), "signal"},
		{fmt.Errorf("rate limit: %w", campaign.ErrToken), "token"},
		{context.Canceled, ""},
		{errors.New("boom"), ""},
	} {
		if got := campaign.StopWord(tt.cause); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.cause, got, tt.want)
		}
	}
}

func TestCausesReadWellAsTheReasonOfWhatTheyLeft(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  string
	}{
		{campaign.ErrToken, "the site refused the token"},
		{&campaign.DeadlineError{Option: "--max-duration 3h0m0s"}, "time was over (--max-duration 3h0m0s)"},
		{&ratelimit.DownError{For: 15 * time.Minute}, "the site has not answered for 15m0s"},
		{&ratelimit.DownError{For: 24 * time.Hour, Asked: true}, "the site asked for a pause of 24h0m0s"},
		{&campaign.SignalError{Signal: os.Interrupt}, "stopped by SIGINT"},
		{&campaign.SignalError{Signal: syscall.SIGTERM}, "stopped by SIGTERM"},
		{&campaign.SignalError{Signal: syscall.SIGHUP}, "stopped by SIGHUP"},
		{&campaign.SignalError{Signal: syscall.SIGQUIT}, "stopped by a signal"},
	} {
		if got := tt.cause.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
