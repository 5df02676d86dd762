package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/process"
)

// newRun and oldRun are of one installation; newRun is the newest.
const newRun, oldRun = "20261125T020000Z-aaaa", "20261124T020000Z-bbbb"

// journalOf is the journal of a run with these records after its header.
func journalOf(run string, records ...string) string {
	started := run[0:4] + "-" + run[4:6] + "-" + run[6:8] + "T02:00:00Z"
	return `{"journal":1,"campaign":"digest","run":"` + run + `","url":"http://groups.example.com/","installation":"0b5c000000000000",` +
		`"site":"77aa000000000000","started":"` + started + `","workers":4,"rate":10,"burst":1,"resumes":""}` + "\n" +
		strings.Join(records, "\n") + "\n"
}

// keep puts the journal of a run into a state directory.
func keep(t testing.TB, dir, run, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, run+".jsonl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reported runs the command report on a state directory.
func reported(dir string, args ...string) (code int, stdout, stderr string) {
	var out, said strings.Builder
	code = Main(Senddigest(), process.Process{
		Args: append([]string{"report", "--state-dir", dir}, args...), Stdout: &out, Stderr: &said,
		Getenv: func(string) (string, bool) { return "", false },
	})
	return code, out.String(), said.String()
}

// Each of these once made a report panic, or go on for ever.
var oddJournals = map[string]string{
	"an end that never started": journalOf(newRun, `{"list":1,"skipped":0}`, `["main","announce"]`, `{"listed":1}`,
		`{"end":0,"t":1.25,"outcome":"accepted","status":200}`, `{"finished":2,"accepted":1}`),
	"a start by nobody": journalOf(newRun, `{"list":1,"skipped":0}`, `["main","announce"]`, `{"listed":1}`,
		`{"start":0,"t":1}`, `{"end":0,"t":1.25,"outcome":"accepted","status":200}`, `{"finished":2,"accepted":1}`),
	"a start by worker 2,000,000,000": journalOf(newRun, `{"list":1,"skipped":0}`, `["main","announce"]`, `{"listed":1}`,
		`{"start":0,"t":1,"w":2000000000}`, `{"finished":2,"ambiguous":1}`),
	"a start by nobody in a run that was cut off": journalOf(newRun, `{"list":1,"skipped":0}`, `["main","announce"]`, `{"listed":1}`,
		`{"start":0,"t":1}`),
	"a send of 285 years": journalOf(newRun, `{"list":1,"skipped":0}`, `["main","announce"]`, `{"listed":1}`,
		`{"start":0,"t":-9000000000,"w":1}`, `{"end":0,"t":9000000000,"outcome":"accepted","status":200}`, `{"finished":2,"accepted":1}`),
}

func TestAReportOfADamagedJournalNamesTheLine(t *testing.T) {
	for name, text := range oddJournals {
		dir := t.TempDir()
		keep(t, dir, newRun, text)
		for _, format := range []string{"text", "json", "html"} {
			code, stdout, stderr := reported(dir, "--format", format)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, newRun+".jsonl: line 5: ") {
				t.Errorf("%s, %s: exit code %d, %q, %q", name, format, code, stdout, stderr)
			}
		}
	}
}

func TestAReportProposesNoCommandThatWouldBeRefused(t *testing.T) {
	journal := func(started time.Time) (run, text string) {
		run = campaign.RunID(started)
		text = journalOf(run, `{"list":2,"skipped":0}`, `["main","announce"]`, `["main","choir"]`, `{"listed":2}`,
			`{"start":0,"t":1,"w":1}`, `{"end":0,"t":2,"outcome":"not_ok","status":500,"reason":"500"}`,
			`{"start":1,"t":1,"w":2}`, `{"end":1,"t":2,"outcome":"accepted","status":200}`, `{"finished":3,"accepted":1,"not_ok":1}`)
		return run, strings.Replace(text, "T02:00:00Z", started.UTC().Format("T15:04:05Z"), 1)
	}
	for _, row := range []struct {
		name string
		ago  time.Duration
		want bool
	}{
		{"an hour ago", time.Hour, true},
		{"two days ago", 48 * time.Hour, false},
		{"in two days", -48 * time.Hour, false},
	} {
		dir := t.TempDir()
		run, text := journal(time.Now().Add(-row.ago))
		keep(t, dir, run, text)
		for _, format := range []string{"text", "html"} {
			code, stdout, stderr := reported(dir, "--format", format)
			if got := strings.Contains(stdout, "--retry-failed"); code != exitOK || got != row.want {
				t.Errorf("%s, %s: exit code %d, a command is proposed: %v, want %v; %s", row.name, format, code, got, row.want, stderr)
			}
		}
	}
}

// FuzzAnyJournalIsReportedOrRefused reads what somebody else may have written, and renders it in every way there is.
func FuzzAnyJournalIsReportedOrRefused(f *testing.F) {
	for _, text := range oddJournals {
		f.Add([]byte(text))
	}
	f.Add([]byte(journalOf(newRun)))
	f.Add([]byte(journalOf(newRun, `{"list":3,"skipped":1}`, `["main","a"]`, `["main","b\u00e9\n"]`, `["parks","<b>"]`, `{"text":"left out"}`,
		`["main","c",0]`, `{"open":1,"t":-12.5}`, `{"listed":4}`, `{"limit":2,"t":0.1}`, `{"start":0,"t":0.5,"w":1}`,
		`{"end":0,"t":1.25,"outcome":"not_ok","status":500,"reason":"r\u001b[2J","error":"e","retry":true}`, `{"start":2,"t":2,"w":2}`,
		`{"start":0,"t":2.75,"w":1,"n":2}`, `{"end":0,"t":3.5,"outcome":"accepted","status":200,"n":2}`,
		`{"end":2,"t":7,"outcome":"ambiguous","reason":"timed out"}`,
		`{"finished":9,"stopped_by":"signal","error":"stopped by SIGINT","accepted":1,"ambiguous":2,"skipped":1}`)))
	older := journalOf(oldRun, `{"list":1,"skipped":0}`, `["main","a"]`, `{"listed":1}`, `{"start":0,"t":0.5,"w":1}`,
		`{"end":0,"t":1.25,"outcome":"accepted","status":200}`, `{"finished":2,"accepted":1}`)

	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		keep(t, dir, oldRun, older)
		keep(t, dir, newRun, string(text))
		for _, args := range [][]string{
			{newRun, "--format", "text"},
			{newRun, "--format", "json"},
			{newRun, "--format", "html"},
			{newRun, "--compare"},
			{"--list"},
			{"--list", "--format", "json"},
		} {
			code, stdout, stderr := reported(dir, args...)
			switch {
			case code != exitOK && code != exitUsage:
				t.Errorf("%v: exit code %d: %s", args, code, stderr)
			case (code == exitOK) != (stdout != "") || (code == exitOK) != (stderr == ""):
				t.Errorf("%v: exit code %d with %d bytes of output and %q", args, code, len(stdout), stderr)
			case len(stdout) > 1<<20+1000*len(text):
				t.Errorf("%v: %d bytes of output of %d", args, len(stdout), len(text))
			case args[len(args)-1] == "json" && code == exitOK && !json.Valid([]byte(stdout)):
				t.Errorf("%v: no JSON: %.200q", args, stdout)
			}
			control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
			if at := strings.IndexFunc(stdout, control); at >= 0 {
				t.Errorf("%v: the output has control characters: …%.40q", args, stdout[max(0, at-20):])
			}
		}
	})
}
