// Package browse shows the runs that are kept in a browser: their list, with how it went over time, and each one's report,
// held against those before. Package web serves it.
package browse

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/internal/web"
)

// answers is how many requests are answered at once; more wait.
const answers = 8

// readTime is how long a browser may take to read an answer that is there.
const readTime = 30 * time.Second

// trendRuns is how many runs are drawn: a state directory keeps as many of an installation.
const trendRuns = 30

// Options say what is shown.
type Options struct {
	// Open opens the runs that are kept now; it is called for each request.
	Open func() (*campaign.Archive, error)
	// GoOn makes the command that resumes a run.
	GoOn func(*state.Run, campaign.Mode) string
}

// A shelf is the handler's.
type shelf struct {
	Options

	// One page is made at a time: a run may have 200,000 groups.
	mu   sync.Mutex
	slow map[string][]report.SlowGroup // of runs that have ended
}

// Handler shows the list of the runs at /, a report at /run/NAME, also as /run/NAME/report.json, and at /slowest the groups that
// were among the slowest. A report is compared with the runs before, or by ?with=NAME with one of the reader's choice. It can be
// mounted below any path, with that stripped.
func Handler(o Options) http.Handler {
	s := &shelf{Options: o, slow: map[string][]report.SlowGroup{}}
	mux := http.NewServeMux()
	const html = "text/html; charset=utf-8"
	mux.Handle("/{$}", s.page(html, s.list))
	mux.Handle("/slowest", s.page(html, s.slowest))
	mux.Handle("/run/{name}", s.page(html, s.run(true)))
	mux.Handle("/run/{name}/report.json", s.page("application/json", s.run(false)))
	return web.ReadOnly(web.Few(answers, mux))
}

// page answers with what write writes. Nothing of it is sent before all of it is there: to read thirty runs of 200,000 groups
// takes half a minute.
func (s *shelf) page(kind string, write func(*campaign.Archive, *http.Request, io.Writer) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		err := s.make(r, &b, write)
		_, absent := errors.AsType[*campaign.RunError](err)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(readTime)) // otherwise the server's own holds
		switch {
		case absent:
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error()+"; the command report says what to do", http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Security-Policy", web.Policy(report.Policy))
			w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
			_, _ = w.Write(b.Bytes())
		}
	})
}

func (s *shelf) make(r *http.Request, w io.Writer, write func(*campaign.Archive, *http.Request, io.Writer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return err // whoever asked has not waited for its turn
	}
	archive, err := s.Open()
	if err != nil {
		return err
	}
	if err := write(archive, r, w); err != nil {
		return &shownError{err, archive.Path()}
	}
	return nil
}

// A shownError is one whose text is for a browser: where the owner of the runs keeps them is for nobody else.
type shownError struct {
	err error
	dir string
}

func (e *shownError) Error() string {
	text := strings.ReplaceAll(e.err.Error(), e.dir+string(filepath.Separator), "")
	return strings.ReplaceAll(text, " in "+e.dir, "")
}

func (e *shownError) Unwrap() error { return e.err }

func (s *shelf) list(a *campaign.Archive, _ *http.Request, w io.Writer) error {
	past := a.Past()
	return (&report.Archive{
		Program: a.Program(), Path: a.Path(), Things: a.Things(), Runs: past, Trends: a.Trends(past, trendRuns), Nameless: a.Private(),
	}).WriteHTML(w)
}

func (s *shelf) slowest(a *campaign.Archive, r *http.Request, w io.Writer) error {
	if a.Private() {
		return &campaign.RunError{} // of what nobody is to know there is no page
	}
	page, err := a.Slowest(r.Context(), trendRuns, s.slow)
	if err != nil {
		return err
	}
	return page.WriteHTML(w)
}

// run shows a report as a page or as JSON, held against the run that the request names, or the runs before where there are some.
func (s *shelf) run(page bool) func(*campaign.Archive, *http.Request, io.Writer) error {
	return func(a *campaign.Archive, r *http.Request, w io.Writer) error {
		at, err := a.Find(r.PathValue("name"))
		if err != nil {
			return err
		}
		d, err := a.Document(at, s.GoOn)
		if err != nil {
			return err
		}
		among := report.Among{Home: "../"}
		with := r.URL.Query().Get("with")
		switch {
		case a.Private(): // nameless, a report has no comparison
		case with != "":
			among.Chosen, err = a.CompareWith(at, with, d)
		default:
			err = a.Compare(r.Context(), at, d)
			if _, alone := errors.AsType[*campaign.RunError](err); alone {
				err = nil
			}
		}
		if err != nil {
			return err
		}
		if d = d.Nameless(); !page {
			return d.WriteJSON(w)
		}
		if !a.Private() {
			among.Others = a.Others(at)
		}
		return d.WriteHTMLAmong(among, w)
	}
}
