// Package program is the command line of senddigest-fleet: it opens the queue's database for each of its commands, and prints
// what the other packages of the fleet say. Options, messages and exit codes are those of package command.
package program

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/demo"
	"github.com/groupserver/senddigest/internal/fleet/night"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/groupserver/senddigest/internal/fleet/worker"
	"github.com/groupserver/senddigest/internal/manual"
	"github.com/groupserver/senddigest/ratelimit"
)

// New is the program.
func New() command.Program {
	queue := []string{"config", "instance", "queue-dsn", "verbose"}
	site := []string{"cacert", "insecure", "header", "timeout", "connect-timeout"}
	return command.NewProgram(config.SenddigestFleet(), "send a GroupServer site's digests from several machines", about(),
		command.Command{
			Name: "migrate", Usage: "make the queue's tables, or bring those of an earlier version up to date",
			Options: queue, Run: migrate,
		},
		command.Command{
			Name: "run", Usage: "make tonight's run: of all machines that say so one plans it, and the others wait for its end",
			Args: "URL", Site: true, Run: run,
		},
		command.Command{
			Name: "work", Usage: "send what the queue has, to the site at URL, until a signal comes",
			Args: "URL", Site: true, Run: work,
			Options: append(append([]string{"state-dir", "grace", "log-format", "log-level", "listen", "listen-anywhere"}, queue...), site...),
		},
		command.Command{Name: "status", Usage: "say what goes on", Options: queue, JSON: true, Run: steered(known, nil)},
		command.Command{Name: "pause", Usage: "start nothing more until resume", Options: queue, Run: steered(known, pause(true))},
		command.Command{Name: "resume", Usage: "end a pause, of pause or of the site", Options: queue, Run: steered(known, pause(false))},
		command.Command{Name: "workers", Usage: "have at most N sends in flight, of all machines together", Args: "N", Options: queue, Run: steered(knownOrFirst, workers)},
		command.Command{Name: "rate", Usage: "start at most RATE sends on all machines together; 0: no limit", Args: "RATE", Options: queue, Run: steered(knownOrFirst, rate)},
		command.Command{Name: "stop", Usage: "start nothing more tonight; what is in flight ends, and run --resume goes on", Options: queue, Run: steered(known, stop)},
		command.Command{Name: "demo", Usage: "three workers, a stand-in GroupServer and a PostgreSQL of their own, of which one worker is killed", Alone: true, Run: demonstrate},
	)
}

func about() []manual.Section {
	return []manual.Section{{Title: "Description", Text: `
Sends the digests of a GroupServer installation from several machines, which share a queue in a PostgreSQL database. Each has a
worker, and the same line for cron, of which one plans the night. What one machine leaves the others send, and none sends what
another may have. Without several machines senddigest(8) does all that this does, and needs no database.

The limits of --workers and --rate hold for all machines together. Whoever sets them sets them for all.

Where the queue's database does not answer the exit code is 75. Where it refuses the role, does not exist, has no tables or those
of another version, or has no installation with the configuration's token, it is 78. A stop where no night goes on ends with 69.`}}
}

// openTime is how long the queue's database is waited for.
const openTime = 15 * time.Second

// open opens the queue's database.
func open(ctx context.Context, c *command.Call) (*fleet.DB, error) {
	if c.Fleet.Queue == nil {
		return nil, command.Usage("no queue given", "name its database with --queue-dsn, or as queue-dsn in the section [senddigest-NAME] of the configuration file")
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	db, err := fleet.Open(ctx, *c.Fleet.Queue)
	return db, fleet.AtStart(err)
}

// An entry returns the number of the call's installation.
type entry func(ctx context.Context, db *fleet.DB, c *command.Call) (int64, error)

// enter enters the installation if it is new. Whoever sends does so, and nobody else: the token is checked by the site then.
func enter(ctx context.Context, db *fleet.DB, c *command.Call) (int64, error) {
	return db.Installation(ctx, fleet.Site{Name: c.Installation(), URL: urlOf(c)})
}

// known only looks the installation up. With a mistyped token an order would reach nothing that sends, and say so to nobody.
func known(ctx context.Context, db *fleet.DB, c *command.Call) (int64, error) {
	return db.Lookup(ctx, c.Installation())
}

// knownOrFirst is for limits, which may be set before anything is sent.
func knownOrFirst(ctx context.Context, db *fleet.DB, c *command.Call) (int64, error) {
	return db.LookupOrFirst(ctx, c.Installation())
}

// ready opens the queue's database, and returns the number of the installation.
func ready(ctx context.Context, c *command.Call, find entry) (*fleet.DB, int64, error) {
	db, err := open(ctx, c)
	if err != nil {
		return nil, 0, err
	}
	if err = queue.Check(ctx, db); err == nil {
		var id int64
		if id, err = find(ctx, db, c); err == nil {
			return db, id, nil
		}
	}
	db.Close()
	return nil, 0, fleet.AtStart(err)
}

func urlOf(c *command.Call) string {
	if c.Site == nil {
		return ""
	}
	return hooks.SiteName(c.Site)
}

func demonstrate(c *command.Call) error {
	ctx, end := c.Stops()
	defer end()
	program, name := c.Executable()
	return demo.Run(ctx, program, name, c.Stdout())
}

// signals is a context that a signal ends, for commands that take moments.
func signals() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

func migrate(c *command.Call) error {
	ctx, cancel := signals()
	defer cancel()
	db, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer db.Close()
	return fleet.AtStart(queue.Migrate(ctx, db))
}

// settleTime is how long the site may be at work on a request: what --settle says, and no less than the rule asks for.
func settleTime(s *config.Settings) time.Duration {
	return max(s.Settle, s.Timeout+fleet.LeaveWithin+time.Second)
}

// unguardedNight is how long a run of a campaign of which the site does not hold back a second one takes in who comes: it is made
// once a month, and a machine that was off makes up for it days later.
const unguardedNight = 7 * 24 * time.Hour

func run(c *command.Call) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.DryRun {
		return c.Send(nil)
	}
	db, installation, err := ready(ctx, c, enter)
	if err != nil {
		return err
	}
	defer db.Close()
	q, err := queue.New(db)
	if err != nil {
		return err
	}
	return c.Send(func(is campaign.Campaign, s *config.Settings, warn func(string)) (command.Share, error) {
		if err := limits(ctx, db, installation, s); err != nil {
			return command.Share{}, fleet.AtStart(err)
		}
		rule := fleet.Rule{Retries: s.Retries, Throttle: s.Throttle}
		if is.Guard == nil {
			rule.Length = unguardedNight
		}
		n := night.New(night.Options{
			DB: db, Queue: q, Installation: installation, Campaign: is.Name, Guarded: is.Guard != nil, Private: is.Private,
			Rule: rule, URL: s.URL, Limits: fleet.Limits{Workers: s.Workers, Rate: s.Rate, Burst: s.Burst}, Settle: settleTime(s), GiveUpAfter: s.GiveUpAfter,
			Resume: s.WantResume, Warn: warn,
		})
		return command.Share{Queue: n, End: func(code int, r campaign.Result) error {
			return n.End(ctx, code, r.Document.Headline(), r.Document.Error == "")
		}}, nil
	})
}

// limits sets the limits that a run was given, and tells the run which hold.
func limits(ctx context.Context, db *fleet.DB, installation int64, s *config.Settings) error {
	if !s.Auto {
		if err := db.SetWorkers(ctx, installation, s.Workers); err != nil {
			return err
		}
	}
	if s.Rate > 0 {
		if err := db.SetRate(ctx, installation, s.Rate, s.Burst); err != nil {
			return err
		}
	}
	l, err := db.LimitsOf(ctx, installation)
	s.Auto, s.Workers, s.Rate, s.Burst = false, l.Workers, l.Rate, l.Burst
	return err
}

func work(c *command.Call) error {
	return c.Work(func(w command.Work) error {
		db, installation, err := ready(w.Ctx, c, enter)
		if err != nil {
			return err
		}
		defer db.Close()
		if double, err := db.Double(w.Ctx, installation); err != nil {
			return fleet.AtStart(err)
		} else if double != "" {
			w.Log.Warn(doubled, "url", double)
		}
		campaigns := command.Campaigns(w.Client, c.Settings)
		unserve, err := serve(w, c.Listen, db, installation, urlOf(c), c.Installation(), campaigns)
		if err != nil {
			return err
		}
		defer unserve()
		going := false
		err = worker.Run(w.Ctx, worker.Options{
			DB: db, Installation: installation, Campaigns: slices.Collect(maps.Values(campaigns)), Timeout: c.Timeout, Dir: filepath.Join(c.StateDir(), "fleet-"+c.Installation()),
			Abort: w.Abort, Grace: c.Grace, Log: w.Log,
			Ready: func() { going = true; w.Ready() },
		})
		if !going {
			err = fleet.AtStart(err)
		}
		return err
	})
}

// doubled warns of an installation that a mistyped token may have made.
const doubled = "nothing was sent with this token yet, and the queue has another installation of the same URL, with another token: compare the two"

// A doubledError is an order to such an installation: nearly always another one was meant.
type doubledError struct{ url string }

func (e *doubledError) Error() string {
	return "the order was given to nobody: nothing was sent with this token yet, and the queue has another installation of " + e.url
}

// Hint says what to do.
func (*doubledError) Hint() string {
	return "compare the token in the configuration file with that of the machines that send; one that was replaced takes orders once a run has a list by it"
}

// ExitCode is that of a configuration that is wrong.
func (*doubledError) ExitCode() int { return 78 }

// An idleError is an order to a night where none goes on.
type idleError struct{}

func (idleError) Error() string { return "no night goes on, so nothing was stopped" }

// Hint says what to do.
func (idleError) Hint() string { return "senddigest-fleet pause holds the next one" }

// ExitCode is the one that senddigest control has where no run is going.
func (idleError) ExitCode() int { return 69 }

// A step is what a command does to the installation.
type step func(ctx context.Context, db *fleet.DB, installation int64, c *command.Call) error

// steered is a command that does something to the installation, and says what is so then.
func steered(find entry, do step) func(*command.Call) error {
	return func(c *command.Call) error {
		ctx, cancel := signals()
		defer cancel()
		db, installation, err := ready(ctx, c, find)
		if err != nil {
			return err
		}
		defer db.Close()
		double, err := db.Double(ctx, installation)
		switch {
		case err != nil:
			return fleet.AtStart(err)
		case double != "" && do != nil:
			return &doubledError{double}
		case double != "":
			c.Warn(doubled + ": " + double)
		case do != nil:
			if err := do(ctx, db, installation, c); err != nil {
				return fleet.AtStart(err)
			}
		}
		all, err := db.Statuses(ctx, c.Installation())
		if err != nil {
			return fleet.AtStart(err)
		}
		return show(c.Stdout(), all, c.JSON)
	}
}

func pause(paused bool) step {
	return func(ctx context.Context, db *fleet.DB, installation int64, _ *command.Call) error {
		return db.SetPaused(ctx, installation, paused)
	}
}

func workers(ctx context.Context, db *fleet.DB, installation int64, c *command.Call) error {
	n, err := strconv.Atoi(c.Args[0])
	if err != nil || n < 1 || n > campaign.MostWorkers {
		return command.Usage(fmt.Sprintf("workers: %q is not a whole number from 1 to %d", c.Args[0], campaign.MostWorkers), "write senddigest-fleet workers 4")
	}
	return db.SetWorkers(ctx, installation, n)
}

func rate(ctx context.Context, db *fleet.DB, installation int64, c *command.Call) error {
	r, err := ratelimit.ParseRate(c.Args[0])
	if err != nil {
		return command.Usage(fmt.Sprintf("rate: %v", err), "write senddigest-fleet rate 600/m")
	}
	return db.SetRate(ctx, installation, r, 1)
}

func stop(ctx context.Context, db *fleet.DB, installation int64, _ *command.Call) error {
	nights, err := db.Stop(ctx, installation, night.StopControl)
	if err == nil && nights == 0 {
		err = idleError{}
	}
	return err
}
