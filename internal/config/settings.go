package config

import (
	"net/http"
	"net/url"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
)

// Settings say what a run is to do, and what it is to show. Their zero value is not useful: [Program.Resolve] fills in the
// defaults.
type Settings struct {
	campaign.Settings

	Config   string // gsconfig.ini
	Instance string // the set in it
	Token    hooks.Token

	MaxWorkers     int    // the most workers, where their number is found
	Canary         string // the page that tells what visitors wait; empty: the site's own, "none": no page does
	ConnectTimeout time.Duration
	Database       Ledger         // where the ledger is
	ServerZone     *time.Location // of the server's clock; nil: this machine's
	DryRun         bool
	Fleet          Fleet

	// Both at once make no sense, which is for the command line to say: one may come from elsewhere.
	WantResume, WantRetryFailed bool

	Reports     []string
	MetricsFile string   // empty: none
	PingURL     *url.URL // nil: none. As good as a password: do not print it

	Listen         string        // the live page's address; empty: there is none
	ListenAnywhere bool          // other machines may reach it
	Linger         time.Duration // for which the page stays after the run

	Verbose  bool
	LogJSON  bool
	LogLevel string
	CACert   string
	Insecure bool
	Header   http.Header // sent with every request. Its values may be secrets: do not print them

	clear bool // the site is asked in the clear
}
