package standin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/groupserver/senddigest/internal/standin"
)

func faults(t testing.TB, all ...string) []standin.Fault {
	t.Helper()
	list := make([]standin.Fault, len(all))
	for i, s := range all {
		f, err := standin.ParseFault(s)
		if err != nil {
			t.Fatal(err)
		}
		list[i] = f
	}
	return list
}

func TestParseFault(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want standin.Fault
		err  string // part of the error
	}{
		{in: "main/alpha=500", want: standin.Fault{Pattern: "main/alpha", Kind: standin.Error500}},
		{in: "*/big=hang", want: standin.Fault{Pattern: "*/big", Kind: standin.Hang}},
		{in: "main/alpha=reset*2", want: standin.Fault{Pattern: "main/alpha", Kind: standin.Reset, Times: 2}},
		{in: "list=wrong-token", want: standin.Fault{Pattern: "list", Kind: standin.WrongToken}},
		{in: "ma?n/[a-c]*=404", want: standin.Fault{Pattern: "ma?n/[a-c]*", Kind: standin.NotFound}},
		{in: "list=redirect-301:https://h:1/x?a=b:c*3", want: standin.Fault{Pattern: "list", Kind: standin.Redirect301, URL: "https://h:1/x?a=b:c", Times: 3}},
		{in: "*/*=redirect-307:$PATH", want: standin.Fault{Pattern: "*/*", Kind: standin.Redirect307, URL: "$PATH"}},
		{in: "*/*=too-many", want: standin.Fault{Pattern: "*/*", Kind: standin.TooMany}},
		{in: "*/*=too-many:Wed, 21 Oct 2026 07:28:00 GMT", want: standin.Fault{Pattern: "*/*", Kind: standin.TooMany, RetryAfter: "Wed, 21 Oct 2026 07:28:00 GMT"}},
		{in: "*/*=proxy-504:60s", want: standin.Fault{Pattern: "*/*", Kind: standin.Proxy504, Delay: time.Minute}},
		{in: "*/*=slow-body:100ms*1", want: standin.Fault{Pattern: "*/*", Kind: standin.SlowBody, Delay: 100 * time.Millisecond, Times: 1}},
		{in: "list=huge:7", want: standin.Fault{Pattern: "list", Kind: standin.Huge, MiB: 7}},
		{in: "", err: "PATTERN=KIND"},
		{in: "main/alpha", err: "PATTERN=KIND"},
		{in: "main=500", err: "neither list nor SITE/GROUP"},
		{in: "/=500", err: "neither list nor SITE/GROUP"},
		{in: "a/b/c=500", err: "neither list nor SITE/GROUP"},
		{in: "main/[=500", err: "syntax error in pattern"},
		{in: "main/alpha=", err: `no kind ""`},
		{in: "main/alpha=explode", err: "there are 500, digest-error"},
		{in: "main/alpha=500:x", err: "takes no argument"},
		{in: "main/alpha=500*0", err: "times"},
		{in: "main/alpha=500*99999999999999999999", err: "times"},
		{in: "main/alpha=500*", err: "no kind"},
		{in: "main/alpha=dicts", err: "for the pattern list only"},
		{in: "list=huge:0", err: "MiB"},
		{in: "list=huge:x", err: "MiB"},
		{in: "list=redirect-302", err: "needs a URL"},
		{in: "list=redirect-302:a\r\nb", err: "printable"},
		{in: "list=slow-body:5", err: "duration"},
		{in: "list=slow-body:-5s", err: "duration"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := standin.ParseFault(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want %q in it", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func FuzzParseFault(f *testing.F) {
	for _, s := range []string{"main/alpha=500", "*/big=hang", "main/alpha=reset*2", "list=redirect-307:http://$HOST/*2*3", "list=huge:+07", "a/b=proxy-504:1h0s*1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fault, err := standin.ParseFault(s)
		if err != nil {
			return
		}
		again, err := standin.ParseFault(fault.String())
		if err != nil || again != fault {
			t.Errorf("%q: %+v is written %q and read back as %+v, %v", s, fault, fault, again, err)
		}
	})
}

// Each kind as a plain net/http client sees it, and whether the mail goes. The work takes a second of fake time.
func TestFaultsOfSend(t *testing.T) {
	status := func(code int) func(answer) error {
		return func(a answer) error {
			if a.err != nil || a.status != code {
				return fmt.Errorf("got %d, %v; want %d", a.status, a.err, code)
			}
			return nil
		}
	}
	broken := func(want error) func(answer) error {
		return func(a answer) error {
			if !errors.Is(a.err, want) {
				return fmt.Errorf("got %d, %v; want %v", a.status, a.err, want)
			}
			return nil
		}
	}
	page := func(what string) func(answer) error {
		return func(a answer) error {
			if a.err != nil || a.status != 200 || !strings.Contains(a.body, what) {
				return fmt.Errorf("got %d, %v; want %q in\n%s", a.status, a.err, what, a.body)
			}
			return nil
		}
	}
	both := func(checks ...func(answer) error) func(answer) error {
		return func(a answer) error {
			for _, check := range checks {
				if err := check(a); err != nil {
					return err
				}
			}
			return nil
		}
	}
	header := func(name, want string) func(answer) error {
		return func(a answer) error {
			if got := a.header.Get(name); got != want {
				return fmt.Errorf("%s: got %q, want %q", name, got, want)
			}
			return nil
		}
	}
	const second = time.Second
	tests := map[standin.Kind]struct {
		arg   string
		check func(answer) error
		took  time.Duration
		mails bool
	}{
		standin.Error500:        {"", status(500), second, false},
		standin.DigestError:     {"", status(500), second, false},
		standin.CommitError:     {"", status(500), second, false},
		standin.Conflict:        {"", status(500), 4 * second, false},
		standin.SiteError:       {"", status(500), second, false},
		standin.Bare500:         {"", status(500), second, false},
		standin.OwnError:        {"", both(status(500), header("Bobo-Exception-Type", "")), second, false},
		standin.NoPrepared:      {"", both(status(500), header("Bobo-Exception-Type", "")), second, false},
		standin.DatabaseLost:    {"", both(status(500), header("Bobo-Exception-Type", "")), 0, false},
		standin.DatabaseAway:    {"", both(status(500), header("Bobo-Exception-Type", "")), 0, false},
		standin.DatabaseRestart: {":1s", both(status(500), header("Bobo-Exception-Type", "")), 0, false},
		standin.OwnError503:     {"", both(status(503), header("Bobo-Exception-Type", "")), 0, false},
		standin.Error503:        {"", status(503), 0, false},
		standin.NotFound:        {"", status(404), 0, false},
		standin.WrongToken:      {"", page(`"exampleToken123" does not match`), 0, false},
		standin.Blank: {"", func(a answer) error {
			if !blank(a) {
				return fmt.Errorf("got %d\n%s", a.status, a.body)
			}
			return nil
		}, 0, false},
		standin.HTML:        {"", page("<h1>Example Site</h1>"), 0, false},
		standin.Proxy502:    {":300ms", status(502), 300 * time.Millisecond, true},
		standin.Proxy503:    {"", status(503), 0, false},
		standin.Proxy504:    {"", status(504), 0, true},
		standin.TooMany:     {"", both(status(429), header("Retry-After", "1")), 0, false},
		standin.Login:       {"", page("Sign in"), 0, false},
		standin.Reset:       {"", broken(io.EOF), second, true}, // net.Pipe knows no RST; see TestResetIsAReset
		standin.ResetEarly:  {"", broken(io.EOF), 0, false},
		standin.Hang:        {"", broken(context.DeadlineExceeded), time.Minute, true},
		standin.SlowBody:    {"", page("All digests sent."), 4 * second, true},
		standin.CutBody:     {"", broken(io.ErrUnexpectedEOF), second, true},
		standin.Redirect301: {":http://$HOST:81$PATH", both(status(301), header("Location", "http://groups.example.com:81"+standin.SendPath)), 0, false},
		standin.Redirect302: {":/elsewhere", both(status(302), header("Location", "/elsewhere")), 0, false},
		standin.Redirect303: {":$PATH", both(status(303), header("Location", standin.SendPath)), 0, false},
		standin.Redirect307: {":$PATH", both(status(307), header("Location", standin.SendPath)), 0, false},
		standin.Redirect308: {":$PATH", both(status(308), header("Location", standin.SendPath)), 0, false},
	}
	for _, k := range standin.Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			tt, ok := tests[k]
			if !ok {
				if _, err := standin.ParseFault("*/*=" + k.String()); err == nil {
					t.Error("a kind without a test")
				}
				return
			}
			synctest.Test(t, func(t *testing.T) {
				s, c := pipeSite(t, standin.Options{
					Groups: []standin.Group{alpha, beta},
					Faults: faults(t, "*/al*="+k.String()+tt.arg+"*1"),
					Cost:   always(second),
				})
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				began := time.Now()
				got := post(ctx, c, base+standin.SendPath, sendForm(alpha))
				if err := tt.check(got); err != nil {
					t.Error(err)
				}
				// A drip's steps are rounded down to the nanosecond.
				if took := time.Since(began); took.Round(time.Microsecond) != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				time.Sleep(second) // the work that goes on behind a proxy
				synctest.Wait()
				if got := s.Mails()[alpha] == 1; got != tt.mails || got != k.Mails() {
					t.Errorf("mailed: got %v, want %v; the kind says %v", got, tt.mails, k.Mails())
				}
				q := s.Requests()[0]
				if ran := q.Ended.Sub(q.Started) > 0; ran != k.Runs() {
					t.Errorf("ran: got %v, the kind says %v", ran, k.Runs())
				}
				if q.Fault != k || q.Mailed != tt.mails || q.Left != (k == standin.Hang) {
					t.Errorf("got %+v", q)
				}
				if want := got.status; q.Status != want && k != standin.CutBody {
					t.Errorf("status: got %d, want %d", q.Status, want)
				}
				if got := s.MaxInFlight(); got != 1 {
					t.Errorf("in flight: got %d, want 1", got)
				}
				for _, g := range []standin.Group{alpha, beta} {
					if got := send(c, g); !accepted(got) {
						t.Errorf("%v afterwards: got %d, %v", g, got.status, got.err)
					}
				}
			})
		})
	}
}

func TestFaultsOfList(t *testing.T) {
	o := standin.Options{Groups: []standin.Group{alpha, beta}}
	for _, tt := range []struct {
		fault  string
		status int
		ctype  string
		body   string
	}{
		{"html", 200, "text/html; charset=utf-8", "<h1>Example Site</h1>"},
		{"login", 200, "text/html; charset=utf-8", "Sign in"},
		{"half-json", 200, "application/json", `[["example_site", "alpha"]`},
		{"dicts", 200, "application/json", `[{"siteId": "example_site", "groupId": "alpha"}, {"siteId": "example_site", "groupId": "beta"}]`},
		{"wrong-token", 200, "application/json; charset=utf-8", `token \"exampleToken123\" does not match`},
		{"blank", 200, "application/json; charset=utf-8", "Get the digest groups"},
		{"500", 500, "text/html; charset=utf-8", "RuntimeError"},
		{"503", 503, "text/html; charset=utf-8", "KeyError"},
		{"404", 404, "text/html; charset=utf-8", "not exist"},
		{"proxy-504", 504, "text/html", "504"},
		{"too-many:30", 429, "text/html", "429"},
		{"redirect-308:/x", 308, "text/html", "308"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			o := o
			o.Faults = faults(t, "list="+tt.fault)
			s, c := pipeSite(t, o)
			got := list(c)
			if got.status != tt.status || got.header.Get("Content-Type") != tt.ctype || !strings.Contains(got.body, tt.body) {
				t.Errorf("got %d %s\n%s", got.status, got.header.Get("Content-Type"), got.body)
			}
			if tt.fault == "half-json" && json.Valid([]byte(got.body)) {
				t.Errorf("valid JSON: %s", got.body)
			}
			if got := send(c, alpha); !accepted(got) {
				t.Errorf("a send met the list's fault: %d", got.status)
			}
			if got := s.Requests()[0]; got.Hook != standin.Groups || got.Status != tt.status || got.Group != (standin.Group{}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestHugeListIsTheLengthItSays(t *testing.T) {
	_, c := pipeSite(t, standin.Options{Faults: faults(t, "list=huge:3")})
	got := list(c)
	if got.err != nil || got.length != int64(len(got.body)) || got.length < 3<<20-100 {
		t.Errorf("length: says %d, is %d, %v", got.length, len(got.body), got.err)
	}
	var pairs [][2]string
	if err := json.Unmarshal([]byte(got.body), &pairs); err != nil {
		t.Error(err)
	}
}

func TestTimesAreCountedForEachGroup(t *testing.T) {
	_, c := pipeSite(t, standin.Options{
		Groups: []standin.Group{alpha, beta},
		Faults: faults(t, "*/*=500*1", "*/beta=proxy-503*2"),
	})
	for g, want := range map[standin.Group][]int{alpha: {500, 200, 200}, beta: {500, 503, 503, 200}} {
		for i, want := range want {
			if got := send(c, g); got.status != want {
				t.Errorf("%v, try %d: got %d, want %d", g, i+1, got.status, want)
			}
		}
	}
}

func TestSetFaults(t *testing.T) {
	s, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha}})
	for _, want := range []int{200, 503, 200} {
		s.SetFaults()
		if want == 503 {
			s.SetFaults(standin.Fault{Pattern: "*/*", Kind: standin.Proxy503})
		}
		if got := send(c, alpha); got.status != want {
			t.Errorf("got %d, want %d", got.status, want)
		}
	}
}

// A redirect to a whole URL lets pass what asks for that URL; a relative one to the request's own path is a loop.
func TestRedirectsEndWhereTheyLead(t *testing.T) {
	_, c := pipeSite(t, standin.Options{
		Groups: []standin.Group{alpha, beta},
		Faults: faults(t, "*/alpha=redirect-307:http://new.example.com$PATH", "*/beta=redirect-307:$PATH"),
	})
	c.CheckRedirect = nil // net/http's own: ten hops
	if got := send(c, alpha); !accepted(got) {
		t.Errorf("got %d, %v", got.status, got.err)
	}
	if got := send(c, beta); got.err == nil || !strings.Contains(got.err.Error(), "10 redirects") {
		t.Errorf("got %d, %v; want a loop", got.status, got.err)
	}
}

func TestResetIsAReset(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, secure := range []bool{false, true} {
		for _, kind := range []string{"reset", "reset-early"} {
			t.Run(fmt.Sprintf("%s,tls=%v", kind, secure), func(t *testing.T) {
				v, c := socketSite(t, standin.New(standin.Options{Groups: []standin.Group{alpha}, Faults: faults(t, "*/*="+kind)}), secure)
				got := post(context.Background(), c, v.URL+standin.SendPath, sendForm(alpha))
				if !errors.Is(got.err, syscall.ECONNRESET) {
					t.Errorf("got %d, %v; want a reset", got.status, got.err)
				}
			})
		}
	}
}

// Closing the server ends what hangs, and closing the site too.
func TestCloseEndsHangs(t *testing.T) {
	for _, name := range []string{"server", "site"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := standin.New(standin.Options{Groups: []standin.Group{alpha}, Faults: faults(t, "*/*=hang"), Cost: always(time.Second)})
				l := standin.Pipe()
				v := s.Serve(l)
				c := plainClient(&http.Transport{DialContext: l.DialContext})
				var wg sync.WaitGroup
				wg.Go(func() {
					if got := send(c, alpha); got.err == nil {
						t.Errorf("got %d, want an error", got.status)
					}
				})
				synctest.Wait()
				if name == "site" {
					s.Close()
					wg.Wait()
				}
				v.Close()
				wg.Wait()
				s.Close()
				if got := s.Mails()[alpha]; got != 1 {
					t.Errorf("mails: got %d, want 1", got)
				}
			})
		})
	}
}
