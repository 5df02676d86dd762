package report_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("%s (rewrite with -update): got -, want +:\n%s", path, diff)
	}
}

type job struct{ site, group string }

func (j job) Key() string { return j.site + "/" + j.group }

func names(j dispatcher.Job) (site, group string) {
	named, _ := j.(job)
	return named.site, named.group
}

// again is a command as the program would print it.
func again(keys ...string) string {
	words := []string{"senddigest", "--workers", "4"}
	for _, key := range keys {
		words = append(words, "--only", key)
	}
	return strings.Join(append(words, "https://groups.example.com/"), " ")
}

// began is a little after a whole second, and not in UTC, so that reports show what they make of that.
var began = time.Date(2026, 11, 23, 3, 0, 0, 125_999_999, time.FixedZone("", 3600))

func meta() report.Meta {
	return report.Meta{
		Campaign: "digest", Run: "20261123T020000Z-7f3a", URL: "https://groups.example.com/", Started: began,
		Workers: 4, Rate: 10, Burst: 1, Names: names, Again: again,
	}
}

// sent is the result of a send that began at a time after the start of the run.
func sent(j job, v dispatcher.Verdict, at, took time.Duration, worker int) dispatcher.Result {
	return dispatcher.Result{Job: j, Verdict: v, Attempts: 1, Worker: worker, Start: began.Add(at), Took: took}
}

func left(j job, o dispatcher.Outcome, reason string) dispatcher.Result {
	return dispatcher.Result{Job: j, Verdict: dispatcher.Verdict{Outcome: o, Reason: reason}}
}

func failure(o dispatcher.Outcome, status int, reason string) dispatcher.Verdict {
	return dispatcher.Verdict{Outcome: o, Status: status, Reason: reason, Err: errors.New("send digest: " + reason)}
}

var (
	accepted = dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
	unknown  = dispatcher.Verdict{
		Outcome: dispatcher.UnknownGroup, Status: 200, Reason: "the site knows no such group; nothing was mailed",
	}
	proxy504  = failure(dispatcher.Ambiguous, 504, "504 Gateway Timeout")
	cutShort  = failure(dispatcher.Ambiguous, 0, "the answer was cut short")
	noAnswer  = failure(dispatcher.Unreachable, 0, "connection refused")
	database  = failure(dispatcher.NotOK, 500, "500 Internal Server Error: RuntimeError: database error")
	loginPage = failure(dispatcher.Unexpected, 200, "200, but not the hook's page: it is titled “Sign in”")
	noToken   = failure(dispatcher.Rejected, 200, "the site refused the token")
	badField  = failure(dispatcher.Rejected, 200, "the site refused the request: Group Identifier: Invalid textual data")
	panicked  = dispatcher.Verdict{
		Reason: "panic while sending", Err: &dispatcher.PanicError{Value: "index out of range [3] with length 3", Stack: []byte("a stack")},
	}
)

// fine is a group that was accepted, beside those that were not.
var fine = sent(job{"parks", "fine"}, accepted, 0, time.Second, 2)

// every gives one result to each of n groups, a second after the other.
func every(n int, v dispatcher.Verdict) []dispatcher.Result {
	results := make([]dispatcher.Result, n)
	for i := range results {
		results[i] = sent(job{"main", fmt.Sprintf("group%02d", i)}, v, time.Duration(i)*time.Second, time.Second, 1)
	}
	return results
}

// ended is the report of results, which ended so long after the run began.
func ended(after time.Duration, stoppedBy error, results ...dispatcher.Result) *dispatcher.Report {
	return &dispatcher.Report{Started: began, Finished: began.Add(after), Results: results, StoppedBy: stoppedBy}
}

// stored is a run in which everything happens that can.
func stored() (*dispatcher.Report, report.Meta) {
	timeOver := errors.New("time was over (--deadline 03:01)")
	retried := sent(job{"main", "busy"}, database, 3*time.Second, 5*time.Second, 2)
	retried.Attempts = 3
	m := meta()
	m.StopWord = "deadline"
	return ended(95*time.Second+499*time.Microsecond, timeOver,
		sent(job{"main", "alpha"}, accepted, 50*time.Millisecond, 1234567*time.Microsecond, 1),
		sent(job{"main", "beta & <gamma>"}, accepted, 60*time.Millisecond, 999_500*time.Nanosecond, 2),
		retried,
		sent(job{"main", "slow"}, proxy504, 4*time.Second, time.Minute, 3),
		sent(job{"main", "cut"}, cutShort, 5*time.Second, 20*time.Second, 4),
		sent(job{"council", "grün-ツ"}, badField, 6*time.Second, 30*time.Millisecond, 1),
		sent(job{"council", "bell\a\x1b[2J\n"}, noAnswer, 7*time.Second, 10*time.Second, 1),
		sent(job{"parks", "gone"}, unknown, 8*time.Second, 4*time.Millisecond, 2),
		sent(job{"parks", "deep/down"}, panicked, 9*time.Second, time.Millisecond, 2),
		sent(job{"parks", `quoted "it's" \ so`}, loginPage, 10*time.Second, 2*time.Second, 2),
		left(job{"schools", "late"}, dispatcher.NotAttempted, timeOver.Error()),
		left(job{"schools", "later"}, dispatcher.NotAttempted, timeOver.Error()),
		left(job{"test", "mine"}, dispatcher.Skipped, "left out by --exclude test/*"),
	), m
}

func text(t *testing.T, d *report.Document) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jsonOf(t *testing.T, d *report.Document) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
