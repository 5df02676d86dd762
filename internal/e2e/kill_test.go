package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// killSeed is the environment variable that plays the killing of one seed again. The system's scheduler has its say
// in when a process dies, so the same seed may have to be played a few times.
const killSeed = "SENDDIGEST_KILL_SEED"

// kills is how many processes each of the two tests kills at least.
const kills = 105

// settled is longer than any request can live here: one takes some milliseconds, none has to queue, and a machine may be slow.
const settled = 2 * time.Second

func TestKilledAtAnyPointAndResumedEveryGroupIsMailedOnceWithTheGuardOn(t *testing.T) {
	t.Parallel()
	killMany(t, true)
}

func TestKilledAtAnyPointAndResumedNobodyIsMailedTwiceWithTheGuardOff(t *testing.T) {
	t.Parallel()
	killMany(t, false)
}

// killMany plays scenarios side by side until enough processes were killed.
func killMany(t *testing.T, guard bool) {
	if text := os.Getenv(killSeed); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err == nil {
			_, err = killScenario(t, seed, guard)
		}
		if err != nil {
			t.Error(err)
		}
		return
	}
	var killed, scenarios atomic.Int64
	base := rand.Uint64() >> 16
	var lanes sync.WaitGroup
	for range 4 {
		lanes.Go(func() {
			for killed.Load() < kills && !t.Failed() {
				seed := base + uint64(scenarios.Add(1))
				n, err := killScenario(t, seed, guard)
				killed.Add(int64(n))
				if err != nil {
					t.Errorf("%v\nto play it again: %s=%d go test -run '^%s$' ./internal/e2e", err, killSeed, seed, t.Name())
				}
			}
		})
	}
	lanes.Wait()
	t.Logf("%d processes killed at %d sites, seeds from %d on", killed.Load(), scenarios.Load(), base+1)
}

// A victim is a site, which sees everything, and an operator whose processes are killed.
type victim struct {
	rng     *rand.Rand
	site    *standin.Site
	url     string
	started chan standin.Group // a send has come
	config  string
	state   string
	report  string
	groups  []standin.Group // the site's list
	all     int             // how many groups there ever were
	always  []string        // options of every run
}

func newVictim(t *testing.T, seed uint64, guard bool) (v *victim, end func(), err error) {
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	v = &victim{
		rng: rng, started: make(chan standin.Group, 10_000), config: filepath.Join(dir, "gsconfig.ini"),
		state: filepath.Join(dir, "state"), report: filepath.Join(dir, "report.json"), all: 10 + rng.IntN(31),
	}
	v.groups = standin.Generate(v.all, seed)
	slowest := 1 + rng.IntN(12)
	o := standin.Options{Groups: v.groups, Threads: 64, Cost: func(g standin.Group) time.Duration {
		v.started <- g
		return time.Duration(1+len(g.Group)%slowest) * time.Millisecond
	}}
	v.always = []string{
		"--config", v.config, "--state-dir", v.state, "--workers", strconv.Itoa(1 + rng.IntN(4)), "--report", v.report,
		"--settle", settled.String(),
	}
	if guard {
		// Some answers are lost, and their groups are settled in the run, if it is not killed before.
		v.always = append(v.always, "--timeout", settled.String())
		for _, i := range rng.Perm(len(v.groups))[:rng.IntN(4)] {
			g := v.groups[i]
			o.Faults = append(o.Faults, standin.Fault{Pattern: g.Site + "/" + g.Group, Kind: standin.Proxy504, Times: 1})
		}
	} else {
		o.Guard = -1
		v.always = append(v.always, "--skip-ambiguous")
	}
	v.site = standin.New(o)
	server, err := v.site.Start()
	if err != nil {
		return nil, nil, err
	}
	v.url = server.URL
	end = func() { server.Close(); v.site.Close() }
	return v, end, program.WriteConfig(v.config, standin.DefaultToken)
}

// killScenario is the story of one site: a run that is killed, resumed, killed again while the list changes, and at
// last let to its end. It gives how many processes were killed.
func killScenario(t *testing.T, seed uint64, guard bool) (killed int, err error) {
	v, end, err := newVictim(t, seed, guard)
	if err != nil {
		return 0, err
	}
	defer end()
	var how []string           // what the next run is asked for
	var before []standin.Group // the list that a run was about which was killed last
	for most := 3 + v.rng.IntN(8); ; {
		var kill <-chan struct{}
		lists := v.lists()
		over := make(chan struct{})
		if killed < most {
			kill = v.killer(over)
		}
		dead, code, said := v.run(t, kill, how...)
		close(over)
		switch {
		case dead:
			killed++
			how = []string{"--resume"}
			if guard && v.rng.IntN(3) == 0 {
				how = nil // somebody starts the night anew
			}
			if v.lists() > lists { // else it knew of none, such as one that was killed before it could say what it is refused for
				before = v.groups
			}
			v.changeList()
			continue
		case code == 64 && strings.Contains(said, "no earlier run"):
			how = nil // all were killed before they began
			continue
		case code == 64 && strings.Contains(said, "was finished") && guard:
			how = nil // killed at the very end: the next night
			continue
		case code == 64 && strings.Contains(said, "was finished"):
			how = []string{"--retry-failed"} // killed before it could report
			continue
		case code == 64 && strings.Contains(said, "had no group that failed"):
			return killed, v.judgeMails(before, nil)
		}
		if code != 0 && (guard || code != 1) {
			return killed, fmt.Errorf("%v ended with %d: %s", how, code, said)
		}
		return killed, v.judge(guard)
	}
}

// lists counts how often the site was asked for its list.
func (v *victim) lists() (n int) {
	for _, q := range v.site.Requests() {
		if q.Hook == standin.Groups {
			n++
		}
	}
	return n
}

// killer closes its channel when the process that comes next is to die: after some time, or so many sends. It ends when
// over does.
func (v *victim) killer(over <-chan struct{}) <-chan struct{} {
	for len(v.started) > 0 {
		<-v.started
	}
	sends, after := 0, time.Duration(v.rng.Int64N(int64(200*time.Millisecond)))
	if v.rng.IntN(3) > 0 {
		sends, after = 1+v.rng.IntN(8), time.Duration(v.rng.Int64N(int64(8*time.Millisecond)))
	}
	kill := make(chan struct{})
	go func() {
		for range sends {
			select {
			case <-v.started:
			case <-over: // fewer came
				return
			}
		}
		select { // a random point in time is what this is about
		case <-time.After(after):
			close(kill)
		case <-over:
		}
	}()
	return kill
}

// run runs the program, perhaps until it is killed.
func (v *victim) run(t *testing.T, kill <-chan struct{}, how ...string) (dead bool, code int, said string) {
	args := append(slices.Concat(v.always, how), v.url)
	cmd := program.Command(t, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return false, -1, err.Error()
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-kill:
		_ = cmd.Process.Kill()
		err = <-ended
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled(), program.ExitCode(err), out.String()
}

// changeList makes groups come and go, and come back, and shuffles them.
func (v *victim) changeList() {
	v.groups = slices.DeleteFunc(slices.Clone(v.groups), func(standin.Group) bool { return v.rng.IntN(12) == 0 })
	listed := map[standin.Group]bool{}
	for _, g := range v.groups {
		listed[g] = true
	}
	for g := range v.site.Mails() { // who was mailed and has gone may come back
		if !listed[g] && v.rng.IntN(2) == 0 {
			v.groups = append(v.groups, g)
		}
	}
	for range v.rng.IntN(3) {
		v.all++
		v.groups = append(v.groups, standin.Group{Site: "new", Group: fmt.Sprintf("group-%d", v.all)})
	}
	v.rng.Shuffle(len(v.groups), func(i, j int) { v.groups[i], v.groups[j] = v.groups[j], v.groups[i] })
	v.site.SetGroups(v.groups...)
}

// judge compares what the site did with what was promised, and with the last run's own report.
func (v *victim) judge(guard bool) error {
	text, err := os.ReadFile(v.report)
	if err != nil {
		return err
	}
	var report struct {
		Groups []struct{ Site, Group, Outcome, Reason string }
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return err
	}
	excused := map[standin.Group]bool{}
	for _, g := range report.Groups {
		if !guard && (g.Outcome == "ambiguous" || strings.HasPrefix(g.Reason, "not in run ")) { // listed only since the run ended
			excused[standin.Group{Site: g.Site, Group: g.Group}] = true
		}
	}
	wrong := v.judgeMails(v.groups, excused)
	if wrong != nil {
		wrong = errors.Join(wrong, fmt.Errorf("the last run's report: %s", text))
	}
	if len(report.Groups) != len(v.groups) {
		wrong = errors.Join(wrong, fmt.Errorf("%d groups in the report, want %d", len(report.Groups), len(v.groups)))
	}
	return wrong
}

// judgeMails tells whether each group of a list was mailed once, but for those with an excuse for not being mailed.
func (v *victim) judgeMails(list []standin.Group, excused map[standin.Group]bool) error {
	var wrong []error
	mails := v.site.Mails()
	for g, n := range mails {
		if n > 1 {
			wrong = append(wrong, fmt.Errorf("%s/%s was mailed %d times", g.Site, g.Group, n))
		}
	}
	for _, g := range list {
		if mails[g] == 0 && !excused[g] {
			wrong = append(wrong, fmt.Errorf("%s/%s was not mailed, and the report has no word of it", g.Site, g.Group))
		}
	}
	if n := v.site.Overlaps(); n > 0 {
		wrong = append(wrong, fmt.Errorf("%d sends came while one for the same group was under way", n))
	}
	return errors.Join(wrong...)
}
