package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/control"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
	"github.com/urfave/cli/v2"
)

// forControl tells the options that mean something to control: whose run, and where its state is.
func forControl(f config.Flag) bool { return forReport(f) || f.Name == "no-state" }

func controlFlags() []cli.Flag {
	return []cli.Flag{&cli.BoolFlag{Name: "json", Category: "Control", DisableDefaultText: true, Usage: "the answer as JSON"}}
}

// steering lets a run be steered by its socket.
func steering(c *session, s *config.Settings) *campaign.Steering {
	steering := &campaign.Steering{Ceiling: s.MaxWorkers, Left: c.display.Left}
	steering.Open = func(sockets []string) (func(), error) {
		server, err := control.Listen(sockets, func(action, value string) (any, error) { return steering.Do(action, value) })
		if err != nil {
			return nil, err
		}
		return server.Close, nil
	}
	return steering
}

// answerTime is how long a run may take to answer.
const answerTime = 10 * time.Second

// A controlError is why a run could not be steered.
type controlError struct {
	problem, hint string
	code          int
}

func (e *controlError) Error() string { return e.problem }
func (e *controlError) ExitCode() int { return e.code }
func (e *controlError) Hint() string  { return e.hint }

// control steers the run that goes.
func (p command) control(c *cli.Context) error {
	usage := "write " + p.program.Name + " control [options] URL ACTION [VALUE]"
	if c.NArg() < 2 || c.NArg() > 3 {
		return &usageError{"control takes the URL of the site, an action, and the value of workers, rate and deadline", usage}
	}
	site, err := hooks.ParseURL(c.Args().First())
	if err != nil {
		return err
	}
	action, value := c.Args().Get(1), c.Args().Get(2)
	if err := campaign.CheckAction(action, value); err != nil {
		return &usageError{err.Error(), usage}
	}
	s, err := p.program.Resolve(config.Sources{Args: p.given(c), Getenv: p.Getenv, Binary: p.Binary, Clear: site.Scheme == "http"})
	if err != nil {
		return err
	}
	if s.NoState {
		return &usageError{"a run with --no-state cannot be steered: its socket would be in the state directory", "leave out --no-state, in the run too"}
	}
	dir, name, in := p.stateDir(s), p.program.campaign(nil, s).Name, state.NewInstallation(s.Token.Digest(), site)
	ctx, over := context.WithTimeout(context.Background(), answerTime)
	defer over()
	text, err := control.Ask(ctx, state.Sockets(dir, name, in), action, value)
	if errors.Is(err, control.ErrNobody) {
		if holder, held := state.HolderOf(dir, name, in); held {
			return &controlError{
				fmt.Sprintf("the run for %s, process %d, cannot be steered now", hooks.SiteName(site), holder.PID),
				"it is ending, or it warned when it began that it has no socket; SIGTERM ends it", exitGone,
			}
		}
	}
	if err != nil {
		return unsteered(err, hooks.SiteName(site), dir)
	}
	var status campaign.Status
	if err := json.Unmarshal(text, &status); err != nil {
		return fmt.Errorf("the answer of the run: %w", err)
	}
	if c.Bool("json") {
		return report.StdoutError(writeJSON(p.Document(), status))
	}
	_, err = io.WriteString(p.Document(), statusText(status))
	return report.StdoutError(err)
}

// unsteered is the error of a run for a site that could not be asked, or refused what it was asked.
func unsteered(err error, site, dir string) error {
	const owner = "run control as the user who runs senddigest, or as root"
	refused, ok := errors.AsType[*control.RefusedError](err)
	switch {
	case ok && refused.Denied:
		return &controlError{refused.Problem, owner, exitNoAccess}
	case ok:
		return &controlError{refused.Problem, "", exitGone}
	case errors.Is(err, fs.ErrPermission):
		return &controlError{"permission denied: " + err.Error(), owner, exitNoAccess}
	case errors.Is(err, control.ErrNobody):
		return &controlError{fmt.Sprintf("no run for %s is going", site), "its state would be in " + dir + "; --state-dir names another", exitGone}
	case is[*control.SilentError](err):
		return &controlError{fmt.Sprintf("the run does not answer within %v; what was asked for may still be done", answerTime), "ask for status later", exitGone}
	}
	return err
}

// statusText is how a run stands, for people.
func statusText(s campaign.Status) string {
	var b strings.Builder
	local := func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
	fmt.Fprintf(&b, "site      %s\n", printable.Line(s.URL))
	fmt.Fprintf(&b, "run       %s, process %d, since %s\n", s.Run, s.PID, local(s.Started))
	fmt.Fprintf(&b, "done      %d of %d, %d in flight\n", s.Done, s.Groups, s.InFlight)
	fmt.Fprintf(&b, "outcomes  %d accepted, %d failed, %d of them ambiguous\n", s.Accepted, s.Failed, s.Ambiguous)
	workers := fmt.Sprint(s.Workers)
	if s.Auto {
		workers += " (auto)"
	}
	rate := ratelimit.Rate(0)
	if s.Rate != nil {
		rate = ratelimit.Rate(*s.Rate)
	}
	fmt.Fprintf(&b, "workers   %s\nrate      %v\n", workers, rate)
	ends := "not known yet"
	if s.Ends != nil {
		ends = "about " + local(*s.Ends)
	}
	fmt.Fprintf(&b, "deadline  %s\nends      %s\n", s.DeadlineText, ends)
	if s.Paused != nil {
		fmt.Fprintf(&b, "paused    since %s\n", local(*s.Paused))
	}
	if s.Stopping != "" {
		fmt.Fprintf(&b, "stopping  %s\n", s.Stopping)
	}
	return b.String()
}
