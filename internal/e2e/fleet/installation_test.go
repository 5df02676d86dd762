package fleet_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// An order that reaches nothing and ends with 0 is worse than none: whoever typed stop believes that nothing is sent.
func TestWithAMistypedTokenNoOrderSeemsToWork(t *testing.T) {
	t.Parallel()
	groups := some(8)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4, Cost: always(30 * time.Millisecond)})
	const token = "mistypedS3cretToken"
	mistyped := *w
	mistyped.config = filepath.Join(t.TempDir(), "gsconfig.ini")
	mistyped.env = []string{"SENDDIGEST_QUEUE_DSN=" + w.address}
	if err := program.WriteConfig(mistyped.config, token); err != nil {
		t.Fatal(err)
	}
	orders := [][]string{{"status"}, {"status", "--json"}, {"pause"}, {"resume"}, {"stop"}}
	refused := func(v *world, wants ...string) {
		t.Helper()
		for _, order := range orders {
			m := v.start(t.TempDir(), order...)
			if code := m.code(); code != 78 {
				t.Errorf("%v ends with %d:\n%s", order, code, m.output.String())
			}
			for _, want := range append(wants, "has no installation with this configuration's token", "hint: ") {
				if !strings.Contains(m.output.String(), want) {
					t.Errorf("%v: want %q in\n%s", order, want, m.output.String())
				}
			}
			if strings.Contains(m.output.String(), token) {
				t.Errorf("%v: the token is in its output:\n%s", order, m.output.String())
			}
		}
	}
	installations := func() (n int) {
		t.Helper()
		if err := w.db.Pool().QueryRow(t.Context(), "SELECT count(*) FROM senddigest.installation").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	refused(w, "run or work enters an installation") // before the first night the right one is unknown, too
	if n := installations(); n != 0 {
		t.Errorf("%d installations were entered by orders", n)
	}

	w.must("workers", "3") // of the first installation limits may be set
	w.work(t.TempDir())
	if m := w.run(t.TempDir()); m.code() != 0 {
		t.Fatalf("the run fails:\n%s", m.output.String())
	}
	orders = append(orders, []string{"workers", "1"}, []string{"rate", "1/m"})
	refused(&mistyped, "one with another token is there, of "+w.url+"/\n", "compare the token")
	if n := installations(); n != 1 {
		t.Errorf("there are %d installations", n)
	}
	if status := w.must("status"); !strings.Contains(status, "0, of at most 3") || !strings.Contains(status, "no limit") || strings.Contains(status, "warning") {
		t.Errorf("got\n%s", status)
	}

	// A worker does not know that it is the wrong one. It says that there are two, and so does status. A run hears it of the site.
	lost := mistyped.start(t.TempDir(), "work", "--log-format", "json", w.url)
	w.until("the worker's warning", func() bool {
		return strings.Contains(lost.output.String(), "another installation of the same URL, with another token")
	})
	w.until("the worker lives", func() bool { return strings.Contains(mistyped.must("status"), "lives") })
	if n := strings.Count(lost.output.String(), "\n"); n != 1 || !strings.Contains(lost.output.String(), `"url":"`+w.url+`/"`) || strings.Contains(lost.output.String(), token) || lost.over() {
		t.Errorf("got\n%s", lost.output.String())
	}
	if m := mistyped.run(t.TempDir()); m.code() != 77 {
		t.Errorf("a run whose token the site refuses ends with %d:\n%s", m.code(), m.output.String())
	}
	if status := mistyped.must("status"); !strings.Contains(status, "warning: nothing was sent with this token yet") {
		t.Errorf("got\n%s", status)
	}
	for _, order := range [][]string{{"pause"}, {"resume"}, {"stop"}, {"workers", "1"}, {"rate", "1/m"}} { // meant for the other
		if m := mistyped.start(t.TempDir(), order...); m.code() != 78 || !strings.Contains(m.output.String(), "another installation of "+w.url) {
			t.Errorf("%v ends with %d:\n%s", order, m.code(), m.output.String())
		}
	}
	if status := w.must("status"); strings.Contains(status, "warning") {
		t.Errorf("the right installation is doubted:\n%s", status)
	}
	w.judge(groups, 3)
}
