// Package demo shows a night of three machines, of which one dies: a stand-in site in this process, a PostgreSQL in a temporary
// folder, and the workers and the run as processes of the program itself. Nothing of it is left when it ends, however it ends
// (on Linux; after SIGKILL the temporary folders stay).
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/groupserver/senddigest/internal/child"
	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/config"
	standindemo "github.com/groupserver/senddigest/internal/demo"
	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/standin/tables"
)

const (
	groups  = 400
	threads = 6 // of the site
	workers = 3
	victim  = 2 // the worker that is killed, from 1
	seed    = 1

	// The longest send of the site takes 3 s. What was under way at the worker that is killed is settled soon after.
	timeout = 4 * time.Second
	settle  = timeout + fleet.LeaveWithin + time.Second
	// patience is how long a process that is told to end may take.
	patience = 5 * time.Second
)

// A FailedError is a demo that did not end as it should have.
type FailedError struct{ Problem string }

func (e *FailedError) Error() string { return "the demo: " + e.Problem }

// A demo is one that goes on.
type demo struct {
	*standindemo.Demo
	program string // the executable
	name    string // as the program was called
	env     []string
	workers [workers]*child.Process

	mu  sync.Mutex
	out io.Writer // written to a line at a time
}

// Run makes the whole demo, and tells of it. program is the executable of senddigest-fleet, called name. Its errors are
// [*cluster.NotFoundError] where PostgreSQL is not installed, [*FailedError], those of its parts, and the cause of ctx.
func Run(ctx context.Context, program, name string, out io.Writer) (err error) {
	site, err := standindemo.Start(ctx, standindemo.Options{Groups: groups, Threads: threads, Seed: seed, Listen: "127.0.0.1:0", NoFaults: true})
	if err != nil {
		return err
	}
	defer site.Close()
	database, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return cut(ctx, err)
	}
	defer func() { err = errors.Join(err, database.Close()) }()
	const queue = "queue"
	if err := tables.CreateEmpty(ctx, database, queue); err != nil {
		return cut(ctx, err)
	}
	d := &demo{Demo: site, program: program, name: name, out: out, env: append(environ(),
		config.SenddigestFleet().EnvName("queue-dsn")+"="+database.DSN(queue), config.SenddigestFleet().EnvName("config")+"="+site.Config)}
	return cut(ctx, d.night(ctx, database.DSN(queue)))
}

// cut is what an error comes to where the demo was told to end.
func cut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// environ is this process's without the program's options: they are meant for the real site.
func environ() []string {
	p := config.SenddigestFleet()
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "NOTIFY_SOCKET" || slices.ContainsFunc(p.Flags, func(f config.Flag) bool { return p.EnvName(f.Name) == name })
	})
}

// night starts the machines, kills one, and judges what the site mailed.
func (d *demo) night(ctx context.Context, address string) error {
	d.say("a stand-in GroupServer with %d groups and %d request threads is at %s", groups, threads, d.URL)
	migrate, err := d.start("migrate", "migrate")
	if err != nil {
		return err
	}
	if err := ended(ctx, migrate); err != nil {
		return err
	}
	where, err := dsn.Parse(address)
	if err != nil {
		return err
	}
	db, err := fleet.Open(ctx, where)
	if err != nil {
		return err
	}
	defer db.Close()
	d.say("%d workers share a queue in a PostgreSQL of its own: at most %d sends in flight, of all together", workers, threads)
	defer d.endWorkers()
	for i := range d.workers {
		if d.workers[i], err = d.worker(i + 1); err != nil {
			return err
		}
	}
	run, err := d.start("run", "run", "--verbose", "--ledger", "off", "--workers", fmt.Sprint(threads), "--timeout", timeout.String(), "--settle", settle.String(), d.URL)
	if err != nil {
		return err
	}
	defer run.End(syscall.SIGKILL, patience)
	if err := d.kill(ctx, db, run); err != nil {
		return err
	}
	if err := ended(ctx, run); err != nil {
		return err
	}
	return d.judge()
}

// worker starts one as a machine of its own would.
func (d *demo) worker(number int) (*child.Process, error) {
	name := fmt.Sprintf("worker %d", number)
	p, err := d.start(name, "work", "--timeout", timeout.String(), "--listen", "127.0.0.1:0", d.URL)
	if err == nil {
		d.say("%s is process %d", name, p.PID())
	}
	return p, err
}

// start starts a process of the program, whose messages are told with its name in front. Each has a state directory of its own.
func (d *demo) start(name string, args ...string) (*child.Process, error) {
	cmd := exec.Command(d.program, args...)
	cmd.Args[0] = d.name
	cmd.Env = append(slices.Clone(d.env), config.SenddigestFleet().EnvName("state-dir")+"="+filepath.Join(d.Dir, "state", strings.ReplaceAll(name, " ", "-")))
	out := &lines{demo: d, name: name}
	cmd.Stdout, cmd.Stderr = out, out
	p, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return nil, fmt.Errorf("start senddigest-fleet %s: %w", args[0], err)
	}
	return p, nil
}

// ended waits for the end of a process, which is to be a good one.
func ended(ctx context.Context, p *child.Process) error {
	select {
	case <-p.Ended():
	case <-ctx.Done():
		p.End(syscall.SIGKILL, patience)
		return context.Cause(ctx)
	}
	if p.Err() != nil {
		return &FailedError{fmt.Sprintf("one of its processes failed: %v", p.Err())}
	}
	return nil
}

// kill kills one of the workers in the midst of its sends, when a third of the night is over.
func (d *demo) kill(ctx context.Context, db *fleet.DB, run *child.Process) error {
	const look = 20 * time.Millisecond
	dying := d.workers[victim-1]
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-run.Ended():
			return nil // it is said why
		case <-tick.C:
		}
		done, sending, err := progress(ctx, db, dying.PID())
		if err != nil {
			return err
		}
		if done < groups/3 || sending == 0 {
			continue
		}
		dying.End(syscall.SIGKILL, patience)
		done, sending, err = progress(ctx, db, dying.PID())
		d.say("%d of %d groups are done; worker %d is killed, by kill -9, with %d sends under way", done, groups, victim, sending)
		d.say("these keep their places, as they do at the site, until %v after they began; then their groups are sent to once more", settle)
		return err
	}
}

// progress is how many groups are done, and how many sends a process has in flight.
func progress(ctx context.Context, db *fleet.DB, pid int) (done, sending int, err error) {
	all, err := db.Statuses(ctx, "")
	for i := range all {
		for _, n := range all[i].Nights {
			done += n.Done
		}
		for _, w := range all[i].Processes {
			if w.PID == pid {
				sending += w.InFlight
			}
		}
	}
	return done, sending, err
}

// judge says what the site mailed. Its log knows more than any report.
func (d *demo) judge() error {
	d.endWorkers()
	d.Server.Close()
	mailed, twice := d.Mails()
	d.say("the site mailed %d digests, %d of them twice; at most %d requests were in flight, and %d times two for one group",
		mailed, twice, d.Site.MaxInFlight(), d.Site.Overlaps())
	if mailed != groups || twice > 0 || d.Site.Overlaps() > 0 || d.Site.MaxInFlight() > threads {
		return &FailedError{"the site saw what it should not have seen"}
	}
	return nil
}

// endWorkers has those end that are alive: in order, so that each says what it has to.
func (d *demo) endWorkers() {
	for _, w := range d.workers {
		w.End(syscall.SIGTERM, patience)
	}
}

func (d *demo) say(format string, values ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = fmt.Fprintf(d.out, format+"\n", values...)
}

// lines tells of what a process writes, line by line, with its name in front.
type lines struct {
	demo *demo
	name string
	rest string // begins a line
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest += string(p)
	for {
		line, rest, whole := strings.Cut(l.rest, "\n")
		if !whole {
			return len(p), nil
		}
		l.rest = rest
		l.demo.say("%s: %s", l.name, line)
	}
}
