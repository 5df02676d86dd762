package standin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/testdata/groupserver"
)

// A fakeLedger does what it is told, and says what it was asked.
type fakeLedger struct {
	quiet           bool
	prepare, commit error
	between         func() // before Prepare returns
	now             time.Time
	calls           []string
}

func (l *fakeLedger) Prepare(g standin.Group, now time.Time) (standin.Prepared, error) {
	l.calls, l.now = append(l.calls, "prepare "+g.Group), now
	if l.between != nil {
		l.between()
	}
	if l.quiet || l.prepare != nil {
		return nil, l.prepare
	}
	return l, nil
}

func (l *fakeLedger) Commit() error {
	l.calls = append(l.calls, "commit")
	return l.commit
}

func (l *fakeLedger) Rollback() error {
	l.calls = append(l.calls, "rollback")
	return nil
}

func TestALedgerDecidesWhatIsMailed(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	const away, lost, full = "send-500-database-refused.html", "send-500-database-lost.html", "send-500-no-prepared-transactions.html"
	tests := []struct {
		name   string
		ledger fakeLedger
		breaks bool // the site's own database goes away during the send
		calls  string
		page   string // the recorded one; "" for that of a send that worked
		mails  int
		fault  string
	}{
		{name: "due", calls: "prepare alpha, commit", mails: 1},
		{name: "nothing to mail", ledger: fakeLedger{quiet: true}, calls: "prepare alpha"},
		{name: "away", ledger: fakeLedger{prepare: failed}, calls: "prepare alpha", page: away, fault: "database-away"},
		{name: "no room", ledger: fakeLedger{prepare: fmt.Errorf("%w: 10", standin.ErrNoPrepared)}, calls: "prepare alpha", page: full, fault: "no-prepared"},
		{name: "gone between the phases", ledger: fakeLedger{commit: failed}, calls: "prepare alpha, commit", page: lost, mails: 1, fault: "database-lost"},
		{name: "a fault takes it away", breaks: true, calls: "prepare alpha, rollback", page: lost},
		{name: "and nothing to mail", ledger: fakeLedger{quiet: true}, breaks: true, calls: "prepare alpha", page: lost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ledger := &tt.ledger
			s, client := pipeSite(t, standin.Options{
				Groups: []standin.Group{alpha}, Ledger: ledger, Quiet: func(standin.Group) bool { t.Error("Quiet was asked"); return false },
			})
			if tt.breaks {
				ledger.between = func() { s.RestartDatabase(0) }
			}
			got := send(client, alpha)
			want, _ := groupserver.FS.ReadFile(tt.page)
			if ok := accepted(got); ok != (tt.page == "") || !ok && (got.status != 500 || got.body != string(want)) {
				t.Errorf("got %d, want the page %q", got.status, tt.page)
			}
			calls, mails, fault := strings.Join(ledger.calls, ", "), s.Mails()[alpha], s.Requests()[0].Fault.String()
			if calls != tt.calls || mails != tt.mails || fault != tt.fault {
				t.Errorf("got %s; %d mails, fault %q, want %s; %d, %q", calls, mails, fault, tt.calls, tt.mails, tt.fault)
			}
		})
	}
}

func TestALedgerIsAskedOnZopesClockAfterTheRendering(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		zone := time.FixedZone("", 12*60*60)
		ledger := &fakeLedger{}
		s := standin.New(standin.Options{
			Groups: []standin.Group{alpha}, Ledger: ledger, Zone: zone, Cost: func(standin.Group) time.Duration { return 10 * time.Second },
		})
		began := time.Now()
		s.Work(standin.Send, alpha)
		if want := began.Add(9 * time.Second); !ledger.now.Equal(want) || ledger.now.Location() != zone {
			t.Errorf("got %v, want %v", ledger.now, want.In(zone))
		}
		if got := time.Since(began); got != 10*time.Second {
			t.Errorf("got %v, want 10s", got)
		}
	})
}

func TestALedgerHearsOfDigestsAlone(t *testing.T) {
	t.Parallel()
	ledger := &fakeLedger{}
	s, client := pipeSite(t, standin.Options{Groups: []standin.Group{alpha, beta}, People: []string{"u1"}, Ledger: ledger, Faults: faults(t, "*/alpha=500")})
	post(context.Background(), client, base+standin.ProfilePath, profileForm("u1"))
	send(client, alpha) // goes wrong before it gets so far
	send(client, gamma) // is unknown
	send(client, beta)
	if want := []string{"prepare beta", "commit"}; !slices.Equal(ledger.calls, want) {
		t.Errorf("got %q, want %q", ledger.calls, want)
	}
	if got := s.Mails(); got[standin.Person("u1")] != 1 || got[beta] != 1 || len(got) != 2 {
		t.Errorf("got mails %v, want one to the person and one to beta", got)
	}
}
