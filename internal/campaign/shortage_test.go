package campaign_test

import (
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
)

// A machine has files for so many sends at once.
type machine struct {
	http.RoundTripper
	most int32
	open atomic.Int32
}

func (m *machine) RoundTrip(r *http.Request) (*http.Response, error) {
	defer m.open.Add(-1)
	if m.open.Add(1) > m.most && r.URL.Path == standin.SendPath {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}
	return m.RoundTripper.RoundTrip(r)
}

func cramped(t *testing.T, most int32, o standin.Options) (*standin.Site, *hooks.Client) {
	t.Helper()
	s, pipe := standin.New(o), standin.Pipe()
	server := s.Serve(pipe)
	transport := hooks.NewTransport(hooks.TransportOptions{})
	transport.Proxy, transport.DialContext = nil, pipe.DialContext
	t.Cleanup(func() {
		server.Close()
		s.Close()
	})
	return s, client(t, &machine{RoundTripper: transport, most: most})
}

// The machine is to blame and not the site: the run goes on with as many at once as it bears.
func TestTooFewOpenFilesFailNoGroup(t *testing.T) {
	for _, most := range []int32{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			const groups = 200
			s, c := cramped(t, most, standin.Options{Groups: numbered(groups), Threads: 64, Cost: always(time.Second)})
			var moved []campaign.Limited
			r := run(t.Context(), c, campaign.Settings{
				URL: siteURL, Workers: 40, Retries: 2, GiveUpAfter: time.Minute, Observers: limits(&moved),
			})
			if got := counted(r); got != "200 accepted" || len(s.Mails()) != groups || r.StoppedBy != nil {
				t.Fatalf("%d at once: got %s, %d mailed, stopped by %v", most, got, len(s.Mails()), r.StoppedBy)
			}
			if last := moved[len(moved)-1]; last.Sends != int(most) || last.Crowded != 0 {
				t.Errorf("%d at once: the last limit is %+v", most, last)
			}
			want := regexp.MustCompile(`^this machine had no room for \d+ sends at once: too many open files: .*ulimit -n.*; what could not leave was sent again, and from \d\d:\d\d on \d may be in flight; raise that limit, or lower`)
			if len(r.Warnings) != 1 || !want.MatchString(r.Warnings[0]) || len(r.Document.Notes) != 1 {
				t.Errorf("%d at once: it says %q, notes %v", most, r.Warnings, r.Document.Notes)
			}
			if got := r.Document.Seconds.Wall; got > float64(groups)/float64(most)+1 {
				t.Errorf("%d at once: took %v s", most, got)
			}
		})
	}
}

// Something else has all the files. The message names that, and the exit code is not that of a site that is away.
func TestAMachineThatBearsNoSendAtAllFailsThemUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := cramped(t, 0, standin.Options{Groups: numbered(20)})
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 4, Retries: 2, GiveUpAfter: time.Minute})
		if got := counted(r); got != "20 unreachable" || r.StoppedBy != nil {
			t.Errorf("got %s, stopped by %v", got, r.StoppedBy)
		}
		if causes := r.Document.Causes; len(causes) != 1 || !strings.HasPrefix(causes[0].Reason, "too many open files: ") {
			t.Errorf("got causes %+v", causes)
		}
	})
}
