package program

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/groupserver/senddigest/internal/fleet/queue"
)

func TestBeforeTheFirstNightAWorkerHasNoMetricsAndNoReport(t *testing.T) {
	t.Parallel()
	page := &nightPage{none: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("status")) })}
	for _, tt := range []struct {
		path, kind, body string
		code             int
	}{
		{"/", "text/plain", "status", 200},
		{"/metrics", "text/plain; version=0.0.4", "", 200}, // a scrape that finds none has not failed
		{"/report.json", "text/plain", "404 page not found\n", 404},
	} {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tt.path, nil))
		if got := w.Body.String(); w.Code != tt.code || got != tt.body || !strings.HasPrefix(w.Result().Header.Get("Content-Type"), tt.kind) {
			t.Errorf("%s: got %d, %q of type %q", tt.path, w.Code, got, w.Result().Header.Get("Content-Type"))
		}
	}
}

func TestRiversPagesChangeJobsAndNothingElse(t *testing.T) {
	t.Parallel()
	db := fleettest.Open(t, server.DSN(t))
	if err := queue.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	installation, err := db.Installation(t.Context(), fleet.Site{Name: "site"})
	if err != nil {
		t.Fatal(err)
	}
	name := queue.Name(installation)
	if _, err := db.Pool().Exec(t.Context(), "INSERT INTO river.river_queue (name, updated_at) VALUES ($1, now())", name); err != nil {
		t.Fatal(err)
	}
	pages, err := riversPages(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path, body string
		code               int
	}{
		{"GET", "queues", "", 200},
		{"GET", "queues/" + name, "", 200},
		{"PUT", "queues/" + name + "/pause", "", 403},
		{"PUT", "queues/*/pause", "", 403},
		{"PUT", "queues/" + name + "/resume", "", 403},
		{"PATCH", "queues/" + name, `{"concurrency": {"global_limit": 1, "local_limit": 1, "partition": {}}}`, 403},
		{"POST", "queues/" + name + "/pause", "", 403},
		{"POST", "jobs", "{}", 403}, // there is no such order yet
		{"POST", "jobs/retry/", `{"ids": ["1"]}`, 403},
		{"POST", "jobs/retry", `{"ids": ["1"]}`, 404}, // River has no such job
		{"POST", "jobs/cancel", `{"ids": ["1"]}`, 404},
		{"POST", "jobs/delete", `{"ids": ["1"]}`, 404},
	} {
		t.Run(fmt.Sprintf("%s %s", tt.method, tt.path), func(t *testing.T) {
			w := httptest.NewRecorder()
			pages.ServeHTTP(w, httptest.NewRequest(tt.method, queuePath+"api/"+tt.path, strings.NewReader(tt.body)))
			if w.Code != tt.code {
				t.Errorf("got %d, want %d: %s", w.Code, tt.code, w.Body)
			}
			if tt.code == 403 && !strings.Contains(w.Body.String(), "senddigest-fleet pause") {
				t.Errorf("the refusal does not say what pauses: %s", w.Body)
			}
			if tt.code == 404 && !strings.Contains(w.Body.String(), "Job not found") {
				t.Errorf("the order did not come to River: %s", w.Body)
			}
		})
	}
	var changed int
	if err := db.Pool().QueryRow(t.Context(), "SELECT count(*) FROM river.river_queue WHERE paused_at IS NOT NULL OR metadata <> '{}'").Scan(&changed); err != nil || changed != 0 {
		t.Errorf("%d queues were changed, %v", changed, err)
	}
}
