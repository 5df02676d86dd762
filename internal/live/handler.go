package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/web"
)

const (
	streams   = 32               // of events, at once
	answers   = 8                // that are whole pages or reports, at once; more wait
	patience  = 5 * time.Second  // with a browser that does not read
	keepAlive = 15 * time.Second // after which a stream without news says something, to notice that its browser is gone
)

// Handler shows the run: the page at /, which keeps itself up to date by /events; the report so far at /report.json; the
// metrics at /metrics, as a scraper wants them; and at /healthz "ok" for as long as the program is there. That is no word about
// the site: who ends a program that is not well would end the run that waits for the site to come back.
//
// It can be mounted below any path, with that stripped.
func (p *Page) Handler() http.Handler {
	whole, mux := http.NewServeMux(), http.NewServeMux()
	whole.HandleFunc("/{$}", p.servePage)
	whole.HandleFunc("/report.json", p.serveReport)
	whole.HandleFunc("/metrics", p.serveMetrics)
	mux.Handle("/", web.Few(answers, whole))
	mux.HandleFunc("/events", p.serveEvents)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	return web.ReadOnly(mux)
}

func (p *Page) servePage(w http.ResponseWriter, r *http.Request) {
	p.serve(w, "text/html; charset=utf-8", func(v *view) ([]byte, error) {
		policy := report.LivePolicy
		if v.final {
			policy = report.Policy
		}
		w.Header().Set("Content-Security-Policy", web.Policy(policy))
		return v.html()
	})
}

func (p *Page) serveReport(w http.ResponseWriter, _ *http.Request) {
	p.serve(w, "application/json", (*view).report)
}

func (p *Page) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	p.serve(w, "text/plain; version=0.0.4; charset=utf-8", func(v *view) ([]byte, error) {
		var b bytes.Buffer
		err := v.metrics.Write(&b)
		return b.Bytes(), err
	})
}

// serve answers with what text makes of the view. The answer is written when the view is free for others again.
func (p *Page) serve(w http.ResponseWriter, kind string, text func(*view) ([]byte, error)) {
	var answer []byte
	err := p.see(func(v *view) (err error) {
		answer, err = text(v)
		return err
	})
	if err != nil { // no browser can bring it about
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer)
}

// An update is what a browser is told: the parts of the page that changed. data is the table of a run that has ended.
type update struct {
	Title string        `json:"title"`
	Parts []report.Part `json:"parts"`
	Data  string        `json:"data,omitempty"`
}

// serveEvents tells a browser what changes until the run has ended, and then the report.
func (p *Page) serveEvents(w http.ResponseWriter, r *http.Request) {
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		w.Header().Set("Retry-After", "60")
		http.Error(w, fmt.Sprintf("%d browsers look at this page already", streams), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	s := stream{w: w, control: http.NewResponseController(w), shown: map[string]uint64{}}
	if r.Method == http.MethodHead {
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for over := p.over; ; {
		final, err := s.show(p)
		if err != nil || final || over == nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-over: // the run has ended, or the page is closed
			over = nil
		case <-ticker.C:
		}
	}
}

// A stream is the events for one browser.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	shown   map[string]uint64 // by selector, the hash of its HTML
	wrote   time.Time
}

var seed = maphash.MakeSeed()

// show writes what is new. final: the run has ended, and that was the last.
func (s *stream) show(p *Page) (final bool, err error) {
	var event []byte
	err = p.see(func(v *view) error {
		final = v.final
		event, err = s.event(v)
		return err
	})
	if err == nil && event == nil && time.Since(s.wrote) >= keepAlive {
		event = []byte(":\n\n")
	}
	if err != nil || event == nil {
		return final, err
	}
	s.wrote = time.Now()
	_ = s.control.SetWriteDeadline(s.wrote.Add(patience)) // otherwise the server's own holds
	if _, err := s.w.Write(event); err != nil {
		return final, err
	}
	return final, s.control.Flush()
}

// event is what a view has that was not shown; nil: nothing.
func (s *stream) event(v *view) ([]byte, error) {
	parts, err := v.pieces()
	if err != nil {
		return nil, err
	}
	u, name := update{Title: v.document.Title()}, "update"
	for _, part := range parts {
		if hash := maphash.String(seed, part.HTML); s.shown[part.Selector] != hash {
			s.shown[part.Selector] = hash
			u.Parts = append(u.Parts, part)
		}
	}
	if v.final {
		data, err := v.rows()
		if err != nil {
			return nil, err
		}
		name, u.Data = "ended", string(data)
	}
	if len(u.Parts) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, text), nil
}
