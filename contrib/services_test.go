package contrib_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheServicesThatGoOnWithARunAreTheOneThatBeginsItButForHow(t *testing.T) {
	t.Parallel()
	for program, mail := range map[string]string{"senddigest": "digests", "sendprofile": "notifications"} {
		nightly := settings(t, "systemd/"+program+"@.service")
		for _, how := range []string{"resume", "retry-failed"} {
			want := make([]string, len(nightly))
			for i, line := range nightly {
				switch {
				case strings.HasPrefix(line, "Description="):
					line = "Description=Go on with the " + mail + " of the GroupServer site %i (--" + how + ")"
				case strings.HasPrefix(line, "ExecStart="):
					line = strings.Replace(line, " $URL", " --"+how+" $URL", 1)
				case strings.HasPrefix(line, "Environment="+strings.ToUpper(program)+"_REPORT="): // the night's own report stays
					line = strings.ReplaceAll(line, "%i", "%i-"+how)
				}
				want[i] = line
			}
			if diff := cmp.Diff(settings(t, "systemd/"+program+"-"+how+"@.service"), want); diff != "" {
				t.Errorf("%s --%s: got -, want +:\n%s", program, how, diff)
			}
		}
	}
}

func TestTheServiceOfTheNotificationsIsThatOfTheDigestsButForItsNames(t *testing.T) {
	t.Parallel()
	names := strings.NewReplacer("Daily digests", "Monthly profile-status notifications", "man:senddigest", "man:sendprofile",
		"SENDDIGEST_", "SENDPROFILE_", "/var/log/senddigest/%i", "/var/log/senddigest/profile-%i", "/etc/senddigest/", "/etc/sendprofile/",
		"/usr/bin/senddigest", "/usr/bin/sendprofile")
	var want []string
	for _, line := range settings(t, "systemd/senddigest@.service") {
		want = append(want, names.Replace(line))
	}
	if diff := cmp.Diff(settings(t, "systemd/sendprofile@.service"), want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
}

// systemd itself takes a process that died of SIGTERM for one that was stopped. Ours ends in order, with an exit code.
func TestAStopThatWasAskedForIsNoFailureToSystemdAndAllElseIs(t *testing.T) {
	t.Parallel()
	const stop = syscall.SIGTERM
	var got []string
	for _, line := range settings(t, "systemd/senddigest@.service") {
		if strings.HasPrefix(line, "KillSignal=") || strings.HasPrefix(line, "SuccessExitStatus=") {
			got = append(got, line)
		}
	}
	if want := []string{"KillSignal=SIGTERM", fmt.Sprintf("SuccessExitStatus=%d", 128+int(stop))}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// settings are the lines of a unit that say something.
func settings(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestTheRunOfSeveralMachinesHasTheServiceAndTheTimerOfOneButForItsNames(t *testing.T) {
	t.Parallel()
	names := strings.NewReplacer("site %i", "site %i, from several machines", "man:senddigest", "man:senddigest-fleet",
		"/usr/bin/senddigest", "/usr/bin/senddigest-fleet run")
	for _, kind := range []string{"service", "timer"} {
		var want []string
		for _, line := range settings(t, "systemd/senddigest@."+kind) {
			want = append(want, names.Replace(line))
		}
		if diff := cmp.Diff(settings(t, "systemd/senddigest-fleet@."+kind), want); diff != "" {
			t.Errorf("%s: got -, want +:\n%s", kind, diff)
		}
	}
}

// What a worker does otherwise than a run: it starts anew when it dies, and stops for good without being a failure.
func TestAWorkerHasTheSandboxOfARunAndStartsAnewWhenItDies(t *testing.T) {
	t.Parallel()
	sandbox := func(path string) []string {
		lines := settings(t, path)
		return lines[slices.Index(lines, "UMask=0077") : slices.Index(lines, "Nice=10")+1]
	}
	if diff := cmp.Diff(sandbox("systemd/senddigest-fleet-worker@.service"), sandbox("systemd/senddigest@.service")); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	lines := settings(t, "systemd/senddigest-fleet-worker@.service")
	for _, want := range []string{"Type=notify", "Restart=on-failure", "RestartPreventExitStatus=64 77 78", "KillMode=mixed", "StateDirectory=senddigest"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %s", want)
		}
	}
}
