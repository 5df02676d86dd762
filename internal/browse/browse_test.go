package browse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/browse"
	"github.com/groupserver/senddigest/internal/browser"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/internal/web"
)

// An archive is a state directory of runs that a test makes up.
type archive struct {
	*state.Dir
	random *rand.Rand
}

func newArchive(t *testing.T) archive {
	t.Helper()
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return archive{dir.For("digest"), rand.New(rand.NewPCG(1, 2))}
}

// A site is one of an installation of its own.
type site struct{ url, installation string }

var parks = site{"https://parks.groups.example.com/", "0123456789abcdef"}

// keep keeps a run of a site with so many groups, of which every so manieth failed; 0: none did.
func (a archive) keep(t *testing.T, s site, began time.Time, groups, fails int, judged bool) string {
	t.Helper()
	name := fmt.Sprintf("%s-%04x", began.UTC().Format("20060102T150405Z"), groups%0xffff)
	w, err := a.Begin(state.Header{
		Campaign: "digest", Run: name, URL: s.url, Started: began, Workers: 4,
		Installation: state.Installation{Site: s.installation, Token: s.installation},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []state.Group
	for i := range groups {
		list = append(list, state.Group{Site: "main", Group: fmt.Sprintf("group-%05d", i)})
	}
	w.List(list, nil)
	at := began
	for i, g := range list {
		took := time.Duration(float64(time.Second) * math.Exp(a.random.NormFloat64()*0.8+float64(i%7)/4))
		r := dispatcher.Result{Job: g, Attempts: 1, Worker: 1 + i%4, Start: at}
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
		r.Took, r.Verdict = took, dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
		if fails > 0 && i%fails == 3 {
			r.Verdict = dispatcher.Verdict{Outcome: dispatcher.NotOK, Status: 500, Reason: "500: database error"}
		}
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
		at = at.Add(took / 4)
	}
	if judged {
		var mails iter.Seq2[state.Group, ledger.Mail] = func(yield func(state.Group, ledger.Mail) bool) {
			for i, g := range list {
				mail := ledger.Mailed
				switch {
				case i%3 == 0:
					mail = ledger.Nothing
				case fails > 0 && i%(5*fails) == 1:
					mail = ledger.Swallowed
				}
				if !yield(g, mail) {
					return
				}
			}
		}
		w.Judge(mails, ledger.Gaps{})
	}
	w.Finish(state.Ending{At: at.Add(time.Second)})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func (a archive) handler() http.Handler {
	return browse.Handler(browse.Options{
		Open: func() (*campaign.Archive, error) {
			return campaign.OpenArchive(campaign.Digest(nil, nil), a.Path(), state.Installation{})
		},
		GoOn: func(*state.Run, campaign.Mode) string { return "senddigest --resume " + parks.url },
	})
}

func get(t *testing.T, h http.Handler, path string, want int) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if w.Code != want {
		t.Errorf("%s: got %d, want %d: %s", path, w.Code, want, w.Body)
	}
	return w.Body.String()
}

var firstNight = time.Date(2026, 10, 25, 2, 0, 0, 0, time.UTC)

func TestThePageOfAnArchiveDrawsEachInstallationByItself(t *testing.T) {
	a := newArchive(t)
	council := site{"https://council.example.org/", "fedcba9876543210"}
	for i := range 3 {
		a.keep(t, parks, firstNight.AddDate(0, 0, i), 20+i, 10, i > 0)
	}
	a.keep(t, council, firstNight.AddDate(0, 0, 3), 5, 0, false)
	page := get(t, a.handler(), "/", http.StatusOK)
	for _, want := range []string{
		"<h1>4 runs are kept</h1>", `<h2 id="trend0">https://council.example.org/</h2>`, `<h2 id="trend1">https://parks.groups.example.com/</h2>`,
		"<figcaption>Groups that failed, at most 2<", "<figcaption>No group failed<", "<figcaption>2 digests lost in 2 of the last 2 runs",
	} {
		if strings.Count(page, want) != 1 {
			t.Errorf("the page says %d times %q", strings.Count(page, want), want)
		}
	}
	slowest := get(t, a.handler(), "/slowest", http.StatusOK)
	if !strings.Contains(slowest, "each of the last 1 runs at https://council.example.org/") {
		t.Error("the slowest are not those of the newest run's installation")
	}
}

func TestTheDatesOfAFewRunsStandApartOnAPhone(t *testing.T) {
	a := newArchive(t)
	for i := range 10 {
		a.keep(t, parks, firstNight.AddDate(0, 0, i), 20, 10, i > 6)
	}
	path := filepath.Join(t.TempDir(), "runs.html")
	if err := os.WriteFile(path, []byte(get(t, a.handler(), "/", http.StatusOK)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := browser.Start(t)
	b.Width(360)
	b.Open("file://" + path)
	var dates []int // of each picture
	b.Eval(`[...document.querySelectorAll(".axis")].map((axis) => axis.children.length)`, &dates)
	if diff := gocmp.Diff(dates, []int{3, 3, 1}); diff != "" {
		t.Errorf("the dates: got -, want +:\n%s", diff)
	}
	var overlapping []string
	b.Eval(`[...document.querySelectorAll(".axis")].flatMap((axis) => {
		const dates = [...axis.children].map((e) => ({text: e.textContent, ...e.getBoundingClientRect().toJSON()})).sort((a, b) => a.left - b.left);
		return dates.filter((d, i) => i > 0 && d.left < dates[i - 1].right).map((d) => d.text);
	})`, &overlapping)
	if len(overlapping) > 0 {
		t.Errorf("these dates stand on others: %q", overlapping)
	}
}

func TestAnEmptyArchiveIsAPageToo(t *testing.T) {
	h := newArchive(t).handler()
	if page := get(t, h, "/", http.StatusOK); !strings.Contains(page, "There is none in") {
		t.Errorf("got %s", page)
	}
	get(t, h, "/slowest", http.StatusOK)
	get(t, h, "/run/latest", http.StatusNotFound)
}

func TestAReportIsHeldAgainstTheRunBefore(t *testing.T) {
	a := newArchive(t)
	first := a.keep(t, parks, firstNight, 20, 0, false)
	a.keep(t, parks, firstNight.AddDate(0, 0, 1), 20, 10, false)
	if page := get(t, a.handler(), "/run/latest", http.StatusOK); !strings.Contains(page, "2 newly failed") {
		t.Error("the newest report is not held against the one before")
	}
	if page := get(t, a.handler(), "/run/"+first, http.StatusOK); strings.Contains(page, `id="compared"`) {
		t.Error("the first report is held against something")
	}
	get(t, a.handler(), "/run/2", http.StatusNotFound) // of several
}

func TestADamagedRunCostsNoOtherItsPage(t *testing.T) {
	a := newArchive(t)
	a.keep(t, parks, firstNight, 20, 0, false)
	damaged := a.keep(t, parks, firstNight.AddDate(0, 0, 1), 20, 0, false)
	a.keep(t, parks, firstNight.AddDate(0, 0, 2), 20, 10, false)
	path := filepath.Join(a.Path(), damaged+".jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[len(lines)/2] = append(bytes.Repeat([]byte{0}, len(lines[len(lines)/2])-1), '\n')
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	page := get(t, a.handler(), "/run/latest", http.StatusOK)
	for _, want := range []string{"2 newly failed", "run " + damaged + " is in no comparison: its record cannot be read"} {
		if !strings.Contains(page, want) {
			t.Errorf("the newest report does not say %q", want)
		}
	}
	if page := get(t, a.handler(), "/slowest", http.StatusOK); !strings.Contains(page, "Left out, since its record cannot be read: run "+damaged+".") {
		t.Error("the page of the slowest does not name what it leaves out")
	}
	for path, status := range map[string]int{damaged: http.StatusInternalServerError, "none": http.StatusNotFound} {
		if text := get(t, a.handler(), "/run/"+path, status); strings.Contains(text, filepath.Dir(a.Path())) || !strings.Contains(text, path) {
			t.Errorf("got %q", text)
		}
	}
}

func TestAReportIsHeldAgainstARunOfTheReadersChoice(t *testing.T) {
	a := newArchive(t)
	first := a.keep(t, parks, firstNight, 20, 0, false)
	second := a.keep(t, parks, firstNight.AddDate(0, 0, 1), 30, 10, false)
	third := a.keep(t, parks, firstNight.AddDate(0, 0, 2), 40, 10, false)
	stranger := a.keep(t, site{"https://council.example.org/", "fedcba9876543210"}, firstNight.AddDate(0, 0, 3), 5, 0, false)
	for _, tt := range []struct {
		path    string
		says    []string
		current string // the choice that is marked
	}{
		{third, []string{"Compared with the run before", "Against the run before, " + second, "1 newly failed"}, ""},
		{third + "?with=" + second, []string{"Compared with another run", "Against run " + second, "only in this run&#39;s list: 10, only in the other&#39;s: 0", "1 failed here, and not in that run"}, second},
		{third + "?with=" + first, []string{"Against run " + first, "4 failed here, and not in that run"}, first},
		{first + "?with=" + third, []string{"Against run " + third, "2 accepted here, failed in that run", "only in the other&#39;s: 20"}, third},
	} {
		page := get(t, a.handler(), "/run/"+tt.path, http.StatusOK)
		for _, want := range tt.says {
			if !strings.Contains(page, want) {
				t.Errorf("%s does not say %q", tt.path, want)
			}
		}
		for _, run := range []string{first, second, third, stranger} {
			link := fmt.Sprintf(`<a href="?with=%s#compared"`, run)
			if got, want := strings.Contains(page, link), run != stranger && !strings.HasPrefix(tt.path, run); got != want {
				t.Errorf("%s leads to the comparison with %s: %t, want %t", tt.path, run, got, want)
			}
			if got, want := strings.Contains(page, link+` aria-current="true">`), run == tt.current; got != want {
				t.Errorf("%s marks %s as the choice: %t, want %t", tt.path, run, got, want)
			}
		}
	}
	if text := get(t, a.handler(), "/run/"+third+"/report.json?with="+first, http.StatusOK); !strings.Contains(text, `"compare":`) || !strings.Contains(text, first) {
		t.Error("the JSON is not held against the run of choice")
	}
	for _, with := range []string{third, stranger, "20990101", "2026"} { // itself, another site's, none, several
		get(t, a.handler(), "/run/"+third+"?with="+with, http.StatusNotFound)
	}
}

// A clockedWriter notes until when an answer may be written.
type clockedWriter struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (w *clockedWriter) SetWriteDeadline(t time.Time) error {
	w.until = t
	return nil
}

func TestAPageThatTakesLongToMakeIsSentAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &clockedWriter{ResponseRecorder: httptest.NewRecorder()}
		browse.Handler(browse.Options{Open: func() (*campaign.Archive, error) {
			time.Sleep(time.Minute) // in fake time
			return nil, errors.New("a slow disk")
		}}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/slowest", nil))
		if got := time.Until(w.until); got != 30*time.Second || w.Code != http.StatusInternalServerError {
			t.Errorf("%v are left to read the answer, %d, want 30s", got, w.Code)
		}
	})
}

func TestWhatNobodyWaitsForAnyMoreIsNotRead(t *testing.T) {
	a := newArchive(t)
	for i := range 3 {
		a.keep(t, parks, firstNight.AddDate(0, 0, i), 20, 0, false)
	}
	ctx, leave := context.WithCancel(t.Context())
	opened := 0
	h := browse.Handler(browse.Options{Open: func() (*campaign.Archive, error) {
		opened++
		leave()
		return campaign.OpenArchive(campaign.Digest(nil, nil), a.Path(), state.Installation{})
	}})
	for _, path := range []string{"/slowest", "/run/latest", "/"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		if strings.Contains(w.Body.String(), "<html") {
			t.Errorf("%s was made", path)
		}
	}
	if opened != 1 {
		t.Errorf("the runs were opened %d times, want 1", opened)
	}
}

func TestTheRunsAreForEverybodyInABrowser(t *testing.T) {
	a := newArchive(t)
	for i := range 29 {
		fails := 0
		if i%4 == 1 {
			fails = 300 + 10*i
		}
		a.keep(t, parks, firstNight.AddDate(0, 0, i), 1500+i*100-i%3*200, fails, i > 8)
	}
	a.keep(t, parks, firstNight.AddDate(0, 0, 29), 20_000, 2000, true)
	server, err := web.Start(t.Context(), "127.0.0.1:0", false, a.handler())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close(0)
	b := browser.Start(t)
	for _, tt := range []struct{ name, path string }{{"runs", ""}, {"slowest", "slowest"}, {"kept", "run/latest"}} {
		b.Open(server.URL() + tt.path)
		if got := b.Number("document.documentElement.outerHTML.length"); got > 5_000_000 {
			t.Errorf("%s has %d characters", tt.name, got)
		}
		b.Eval(`document.querySelectorAll("nav details").forEach((e) => { e.open = true })`, nil)
		b.Judge(tt.name, 360, 800, 1400)
		b.Width(360)
		var cut []string // beside a table that is scrolled, its caption is not
		b.Eval(`[...document.querySelectorAll("caption")].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.textContent)`, &cut)
		if len(cut) > 0 {
			t.Errorf("%s at 360 px cuts the captions %q", tt.name, cut)
		}
		if logged, requests := b.Complaints(); len(logged) > 0 || len(requests) > 0 {
			t.Errorf("%s logged %q, and asked for %q", tt.name, logged, requests)
		}
	}
	// From the list to a report, to another comparison and back, by the keyboard.
	b.Open(server.URL())
	b.Eval("document.querySelector('tbody a').focus()", nil)
	b.Press("Enter")
	b.Wait("h1", "20000 groups accepted")
	b.Eval("document.querySelector('nav summary').focus()", nil)
	b.Press("Enter")
	b.Eval("document.querySelector('nav li:last-child a').focus()", nil)
	b.Press("Enter")
	b.Wait("#compared", "Compared with another run")
	b.Eval("document.querySelector('.kicker a').focus()", nil)
	b.Press("Enter")
	b.Wait("h1", "30 runs are kept")
}
