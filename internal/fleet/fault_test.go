package fleet

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestADatabaseThatWillNotDoIsToldWithWhatToDo(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"42P01": "migrate", "42883": "migrate", "3F000": "migrate", "42501": "right", "08P01": "pooler",
		"28P01": "queue-dsn", "28000": "pg_hba.conf", "3D000": "createdb",
	} {
		err := (&DB{name: "host:5432/queue"}).fault("start an attempt", &pgconn.PgError{Code: code, Message: "unsupported startup parameter: lock_timeout"})
		e, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(e.Hint(), want) || !strings.Contains(e.Error(), "host:5432/queue: start an attempt") {
			t.Errorf("%s: got %v, hint %q", code, err, e.Hint())
		}
	}
}

// What a service manager reads: 75 is begun again, 78 is not.
func TestOnlyACommandThatHasNotBegunGivesUpOnADatabaseThatRefusesIt(t *testing.T) {
	t.Parallel()
	type coded interface {
		error
		ExitCode() int
	}
	for code, want := range map[string]int{
		"28P01": 78, "28000": 78, "3D000": 78, "42501": 78,
		"53300": 75, "57P03": 75, "57P01": 75, "53200": 75, "40001": 75,
	} {
		err := (&DB{name: "host:5432/queue"}).fault("", &pgconn.PgError{Code: code})
		if e, ok := errors.AsType[coded](err); !ok || e.ExitCode() != 75 {
			t.Errorf("%s: what is going ends with %v", code, e)
		}
		start := AtStart(fmt.Errorf("begin: %w", err))
		if e, ok := errors.AsType[coded](start); !ok || e.ExitCode() != want {
			t.Errorf("%s: what begins ends with %v, want %d", code, e, want)
		}
		if e, ok := errors.AsType[*Error](start); !ok || (e.Hint() != "") != (want == 78) {
			t.Errorf("%s: got hint %q", code, e.Hint())
		}
	}
	other := errors.New("other")
	if got := AtStart(other); !errors.Is(got, other) || AtStart(nil) != nil {
		t.Errorf("got %v", got)
	}
}

func TestSeveralCausesAreEachSaidOnceOnOneLine(t *testing.T) {
	t.Parallel()
	answer := func(code, text string) error {
		return fmt.Errorf("127.0.0.1:5432 (db): server error: %w", &pgconn.PgError{Severity: "FATAL", Code: code, Message: text})
	}
	refused, noTLS := errors.New("[::1]:5432 (db): dial error: refused"), errors.New("127.0.0.1:5432 (db): tls error: server refused TLS connection")
	lookup := func(port int) error {
		return fmt.Errorf("lookup db: read udp 127.0.0.1:%d->127.0.0.1:53: refused", port)
	}
	for _, tt := range []struct {
		name   string
		errs   []error
		want   string
		advice string
	}{
		{"the same twice", []error{refused, refused}, "[::1]:5432 (db): dial error: refused", ""},
		{"a port of ours", []error{lookup(1), lookup(2)}, "lookup db: read udp 127.0.0.1:1->127.0.0.1:53: refused", ""},
		{"a server without TLS", []error{noTLS, answer("28P01", "no")}, "FATAL: no (SQLSTATE 28P01)", "compare"},
		{"nothing but no TLS", []error{noTLS, noTLS}, noTLS.Error(), ""},
		{"another host without TLS", []error{noTLS, refused}, noTLS.Error() + "; " + refused.Error(), ""},
		{"one that does not listen", []error{refused, refused, answer("3D000", "no")}, refused.Error() + "; FATAL: no (SQLSTATE 3D000)", "createdb"},
		{"one that starts", []error{answer("57P03", "starting"), answer("28P01", "no")}, "FATAL: starting (SQLSTATE 57P03); FATAL: no (SQLSTATE 28P01)", ""},
		{"one that is full", []error{answer("28000", "no"), answer("53300", "full")}, "FATAL: no (SQLSTATE 28000); FATAL: full (SQLSTATE 53300)", ""},
	} {
		for form, err := range map[string]error{"joined": errors.Join(tt.errs...), "wrapped": fmt.Errorf("hosts: %w", errors.Join(tt.errs...))} {
			e, ok := errors.AsType[*Error]((&DB{name: "db:5432/queue"}).fault("", err))
			if !ok || e.Err.Error() != tt.want || !strings.HasPrefix(e.Advice, tt.advice) || tt.advice == "" && e.Advice != "" {
				t.Errorf("%s, %s: got %q, advice %q, want %q, %q", tt.name, form, e.Err, e.Advice, tt.want, tt.advice)
			}
		}
	}
}

func TestAConnectionThatIsRefusedIsSaidOncePerHost(t *testing.T) {
	t.Parallel()
	for hosts, n := range map[string]int{"127.0.0.1": 1, "127.0.0.1,127.0.0.2": 2, "127.0.0.1,127.0.0.1": 1} {
		d, err := dsn.Parse("postgres://nobody@" + hosts + ":1/queue")
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), d)
		if err == nil || strings.Count(err.Error(), "connection refused") != n || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %q", hosts, err)
		}
	}
}
