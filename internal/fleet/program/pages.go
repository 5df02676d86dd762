package program

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/night"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/groupserver/senddigest/internal/live"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/web"
	"riverqueue.com/riverui"
)

const (
	// queuePath is where River's pages are.
	queuePath = "/queue/"
	// queuePolicy is what these need: they are one program, which is on this server.
	queuePolicy = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"
)

// serve serves a worker's pages where they are asked for, until stop is called: the live page of the night of the digests at /,
// that of the profiles' at /profile/, what status says at /status, River's pages below [queuePath]. Of all of these only
// River's change anything, and of these only jobs: see [ordered].
func serve(w command.Work, listen string, db *fleet.DB, installation int64, url, name string, campaigns map[string]campaign.Campaign) (stop func(), err error) {
	if listen == "" {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Ctx))
	river, err := riversPages(ctx, db)
	if err != nil {
		cancel()
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(queuePath, river)
	mux.Handle("/healthz", web.ReadOnly(health(db)))
	status := web.ReadOnly(overview(db, name))
	mux.Handle("/status", status)
	digest, profile := &nightPage{none: status}, &nightPage{none: status}
	mux.Handle("/", digest)
	mux.Handle("/profile/", http.StripPrefix("/profile", profile))
	var watching sync.WaitGroup
	for campaign, page := range map[string]*nightPage{"digest": digest, "profile": profile} {
		watching.Go(func() { night.Watch(ctx, db, installation, url, campaigns[campaign], page.begin) })
	}
	end, err := w.Serve(mux)
	over := func() {
		digest.close()
		profile.close()
		end()
		cancel()
		watching.Wait()
	}
	if err != nil {
		end = func() {}
		over()
		return nil, err
	}
	return over, nil
}

// riversPages are River's own pages of the queue, until ctx ends.
func riversPages(ctx context.Context, db *fleet.DB) (http.Handler, error) {
	q, err := queue.New(db)
	if err != nil {
		return nil, err
	}
	ui, err := riverui.NewHandler(&riverui.HandlerOpts{
		Endpoints: riverui.NewEndpoints(q.Client(), nil), Logger: queue.Silent(), Prefix: queuePath, JobListHideArgsByDefault: true,
	})
	if err != nil {
		return nil, err
	}
	return ordered(ui), ui.Start(ctx) // before it serves
}

// A nightPage is the live page of the newest night of a campaign.
type nightPage struct {
	none http.Handler // shown where there was no night yet

	mu      sync.Mutex
	page    *live.Page // nil: there was none
	handler http.Handler
}

// begin begins the page of a night, in the place of that of the night before.
func (n *nightPage) begin(meta report.Meta) campaign.Observer {
	page := live.New(meta, live.Options{ExitCode: night.Code})
	n.close()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.page, n.handler = page, page.Handler()
	return page
}

// close ends what is open to those who look at the page.
func (n *nightPage) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.page != nil {
		n.page.Close()
	}
}

// ServeHTTP implements [http.Handler].
func (n *nightPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	handler := n.handler
	n.mu.Unlock()
	switch {
	case handler != nil:
		handler.ServeHTTP(w, r)
	case r.URL.Path == "/":
		n.none.ServeHTTP(w, r)
	case r.URL.Path == "/metrics": // there are none, which is no failure to who asks for them
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	default:
		http.NotFound(w, r)
	}
}

// refusal answers orders to River that are none to a job. River's pages show it to who asks for the error.
const refusal = "these pages retry, cancel and delete jobs, and change nothing else: to have nothing start, on all machines, use senddigest-fleet pause, and then senddigest-fleet resume"

// ordered lets nobody give orders but who has River's own page: the pages of another site cannot, whatever they have a browser
// of this machine send. An order to a job does no harm, since a job is a proposal and no more. All others are refused: a paused
// queue would have the night stand still without a word, for neither the gate nor whoever plans knows of it.
func ordered(ui http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+queuePath, ui)
	for _, order := range []string{"retry", "cancel", "delete"} {
		mux.Handle("POST "+queuePath+"api/jobs/"+order, ui)
	}
	mux.HandleFunc(queuePath, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, refusal, http.StatusForbidden) })
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", web.Policy(queuePolicy))
		mux.ServeHTTP(w, r)
	}))
}

// health reports whether the worker has its database.
func health(db *fleet.DB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := db.Check(r.Context()); err != nil {
			http.Error(w, "the queue's database does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
}

// overview is what status says.
func overview(db *fleet.DB, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all, err := db.Statuses(r.Context(), name)
		if err != nil {
			http.Error(w, "the queue's database does not answer", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for i := range all {
			_, _ = fmt.Fprintf(w, "%s\n", text(&all[i]))
		}
		_, _ = fmt.Fprintf(w, "River's pages of the queue: %s\n", queuePath)
	})
}
