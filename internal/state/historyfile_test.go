package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
	"pgregory.net/rapid"
)

// saveToFullDisk saves a history that is larger than any file may be, and says what it was told.
func saveToFullDisk(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4096, Max: 4096}); err != nil {
		return err
	}
	return settled(1000, 1).Save(path)
}

func text(t interface{ Fatal(...any) }, h *state.History) []byte {
	var b bytes.Buffer
	if err := h.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// summed is a file with these lines and the right last one.
func summed(lines ...string) []byte {
	body := []byte(strings.Join(lines, "\n") + "\n")
	return fmt.Appendf(body, "end\t%08x\n", crc32.ChecksumIEEE(body))
}

func readError(t *testing.T, err error) *state.HistoryReadError {
	t.Helper()
	e, ok := errors.AsType[*state.HistoryReadError](err)
	if !ok {
		t.Fatalf("got %v, want a HistoryReadError", err)
	}
	if e.Hint() == "" || strings.Contains(e.Hint()+e.Error(), "\n") {
		t.Errorf("got %q, hint %q, want one line each", e, e.Hint())
	}
	return e
}

func TestTheFormatIsTheDocumentedOne(t *testing.T) {
	h := settled(2, 2)
	learnFrom(h, map[string]time.Duration{name(0): time.Second})
	h.KeepFound(state.FoundLimit{Sends: 4, Spare: 7, Share: 0.25})
	want := summed(
		"senddigest-history\t2\t2\t0\t4\t7\t0.25\t1",
		"main/group-000000\t1\t0\t3\t0\t1",
		"main/group-000001\t2\t0\t2\t1\t2",
	)
	if got := text(t, h); !bytes.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestWithoutAFileNothingIsKnown(t *testing.T) {
	h, err := state.LoadHistory(filepath.Join(t.TempDir(), "missing"))
	if err != nil || h.Known() != 0 {
		t.Errorf("got %d groups, %v, want none and no error", h.Known(), err)
	}
}

func TestAHistoryGoesOnFromItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	kept := state.NewHistory()
	for run := range 100 {
		h, err := state.LoadHistory(path)
		if err != nil {
			t.Fatal(err)
		}
		took := scaled(usual(20-run/50), float64(run%3+1))
		learnFrom(h, took)
		learnFrom(kept, took)
		if err := h.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := state.LoadHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 21 {
		if got, want := got.Estimate(name(i)), kept.Estimate(name(i)); got != want {
			t.Errorf("group %d: got %+v, want %+v", i, got, want)
		}
	}
}

func TestTheLongestSendOfAGroupIsKeptAndIsNotKnownFromAnOlderFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(path, summed("senddigest-history\t1\t1\t0\t1", name(0)+"\t2\t0.4\t3\t0"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := state.LoadHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Longest(name(0)); got != 0 || h.Known() != 1 {
		t.Errorf("of an older file: %v of %d groups, want 0 of 1", got, h.Known())
	}
	for _, took := range []time.Duration{3 * time.Second, 90 * time.Second, time.Second} {
		learnFrom(h, map[string]time.Duration{name(0): took})
	}
	if err := h.Save(path); err != nil {
		t.Fatal(err)
	}
	if h, err = state.LoadHistory(path); err != nil || h.Longest(name(0)) != 90*time.Second || h.Longest("main/none") != 0 {
		t.Errorf("got %v, and of a group that is not known %v, %v, want 1m30s and 0", h.Longest(name(0)), h.Longest("main/none"), err)
	}
}

// The history of an installation goes on where the program is replaced by a newer one.
func TestAFileOfTheFirstVersionIsReadAndGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	old := summed("senddigest-history\t1\t1\t2.6\t1\t1.5", "main/a\t4\t0.4\t3\t0")
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := state.LoadHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Found(); got != (state.FoundLimit{}) || h.Known() != 1 || h.Abreast() < 2.59 {
		t.Errorf("got %+v, %d groups, %v in flight, want nothing found, 1 and 2.6", got, h.Known(), h.Abreast())
	}
	want := state.FoundLimit{Sends: 3, Spare: 7, Share: 0.5}
	h.KeepFound(want)
	h.KeepFound(state.FoundLimit{}) // a run that found nothing
	if err := h.Save(path); err != nil {
		t.Fatal(err)
	}
	if h, err = state.LoadHistory(path); err != nil || h.Found() != want || h.Known() != 1 {
		t.Errorf("the next run: got %+v, %d groups, %v, want %+v and 1", h.Found(), h.Known(), err, want)
	}
}

// A group that was listed and never accepted tells nothing that is worth a line.
func TestOnlyGroupsWithASendAreWritten(t *testing.T) {
	h := state.NewHistory()
	h.List(maps.Keys(usual(3)))
	h.Observe(ended(name(1), time.Second, dispatcher.Accepted))
	h.Learn()
	if got := text(t, h); bytes.Count(got, []byte("main/")) != 1 {
		t.Errorf("got:\n%s\nwant one group", got)
	}
}

func TestNobodyElseReadsTheFile(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "history")
	if err := settled(2, 1).Save(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v, want 0600", info.Mode(), err)
	}
}

func TestADamagedFileIsNoHistoryAndReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(path, []byte("senddigest-history\t1\t2\t0\t1\nmain/"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := state.LoadHistory(path)
	if e := readError(t, err); e.Path != path {
		t.Errorf("got path %s, want %s", e.Path, path)
	}
	if got, want := err.Error(), "history "+path+": its end is missing"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if h.Known() != 0 {
		t.Errorf("%d groups are known, want none", h.Known())
	}
	learnFrom(h, usual(2))
	if err := h.Save(path); err != nil {
		t.Fatal(err)
	}
	h, err = state.LoadHistory(path)
	if err != nil || h.Known() != 2 {
		t.Errorf("the next run: got %d groups, %v, want 2", h.Known(), err)
	}
}

func TestAnEmptyFileIsNoHistory(t *testing.T) {
	_, err := state.ReadHistory(nil)
	if err == nil {
		t.Error("got no error")
	}
}

func TestANewerFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	newer := summed("senddigest-history\t3\tsomething else")
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := state.LoadHistory(path)
	if e := readError(t, err); !strings.Contains(e.Error(), "version 3") || !strings.Contains(e.Hint(), "newer senddigest") {
		t.Errorf("got %q, hint %q, want the version named", e, e.Hint())
	}
	learnFrom(h, usual(2))
	if err := h.Save(path); err != nil {
		t.Errorf("got %v, want no second complaint", err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, newer) {
		t.Errorf("got %q, %v, want it as it was", got, err)
	}
}

func TestAFileThatCannotBeOpenedIsNoHistory(t *testing.T) {
	dir := t.TempDir()
	h, err := state.LoadHistory(dir)
	if e := readError(t, err); !errors.Is(e, syscall.EISDIR) || strings.Count(e.Error(), dir) != 1 {
		t.Errorf("got %q, want the folder named once", e)
	}
	if h == nil || h.Known() != 0 {
		t.Errorf("got %v, want an empty history", h)
	}
	denied := &state.HistoryReadError{Path: "history", Err: fs.ErrPermission}
	if !strings.Contains(denied.Hint(), "let the user") {
		t.Errorf("got hint %q, want who may read", denied.Hint())
	}
}

func TestAFileThatCannotBeWrittenIsAWriteError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "history")
	err := settled(2, 1).Save(path)
	e, ok := errors.AsType[*state.HistoryWriteError](err)
	if !ok || e.Path != path || !errors.Is(err, fs.ErrNotExist) || strings.Contains(e.Error(), "/.") {
		t.Fatalf("got %v, want a WriteError for %s", err, path)
	}
	for err, want := range map[error]string{
		fs.ErrPermission: "let the user", syscall.ENOSPC: "make room", syscall.EIO: "the digests are not affected",
	} {
		if got := (&state.HistoryWriteError{Path: path, Err: err}).Hint(); !strings.HasPrefix(got, want) {
			t.Errorf("%v: got hint %q, want %q", err, got, want)
		}
	}
}

func TestAFullDiskLeavesTheOldHistory(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no processes")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "history")
	if err := settled(3, 1).Save(path); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, path)
	cmd.Env = append(os.Environ(), childVariable+"="+childSaves)
	said, err := cmd.CombinedOutput()
	if want := "history " + path + ": file too large\n"; err != nil || string(said) != want {
		t.Errorf("got %q, %v, want %q", said, err, want)
	}
	h, err := state.LoadHistory(path)
	if err != nil || h.Known() != 3 {
		t.Errorf("got %d groups, %v, want the 3 of before", h.Known(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v, want nothing left behind", entries, err)
	}
}

// Each of these has a checksum that is right: what wrote it was no senddigest.
func TestWhatCannotBeIsNotRead(t *testing.T) {
	const head, a, b = "senddigest-history\t1\t2\t0\t1\t0.5", "main/a\t1.5\t0.4\t3\t0", "main/b\t2\t0\t1\t59"
	if h, err := state.ReadHistory(summed(head, a, b)); err != nil || h.Known() != 2 {
		t.Fatalf("got %v, want it good", err)
	}
	for _, tt := range []struct {
		name  string
		lines []string
	}{
		{"another file", []string{"something", a, b}},
		{"no version", []string{"senddigest-history", a, b}},
		{"version 0", []string{"senddigest-history\t0\t2\t1", a, b}},
		{"no count", []string{"senddigest-history\t1\t\t1", a, b}},
		{"a count below 0", []string{"senddigest-history\t1\t-1\t1"}},
		{"no pace", []string{"senddigest-history\t1\t2\t0", a, b}},
		{"a pace of 0", []string{"senddigest-history\t1\t2\t0\t0", a, b}},
		{"a pace of NaN", []string{"senddigest-history\t1\t2\t0\tNaN", a, b}},
		{"too many paces", []string{"senddigest-history\t1\t2\t0\t1\t1\t1\t1\t1\t1", a, b}},
		{"a number of sends below 0", []string{"senddigest-history\t2\t0\t0\t-1\t0\t0\t1"}},
		{"a vast number of sends", []string{"senddigest-history\t2\t0\t0\t4000000000\t0\t0\t1"}},
		{"a share of NaN", []string{"senddigest-history\t2\t0\t0\t3\t0\tNaN\t1"}},
		{"what was found without a pace", []string{"senddigest-history\t2\t0\t0\t3\t7\t0"}},
		{"a group too many", []string{head, a, b, "main/c\t2\t0\t1\t0"}},
		{"a group too few", []string{head, a}},
		{"a vast count", []string{"senddigest-history\t1\t4000000000\t1", a, b}},
		{"no key", []string{head, "\t1.5\t0.4\t3\t0", b}},
		{"too long a key", []string{head, a, strings.Repeat("x", state.MaxKey+1) + "\t1\t1\t1\t1"}},
		{"too long a line", []string{head, a, strings.Repeat("x", 1<<17) + "\t1\t1\t1\t1"}},
		{"the same key twice", []string{head, a, a}},
		{"the wrong order", []string{head, b, a}},
		{"no longest send", []string{"senddigest-history\t2\t1\t0\t3\t7\t0\t1", a}},
		{"a longest send of NaN", []string{"senddigest-history\t2\t1\t0\t3\t7\t0\t1", a + "\tNaN"}},
		{"a field too few", []string{head, "main/a\t1.5\t0.4\t3", b}},
		{"a field too many", []string{head, a + "\t0", b}},
		{"an empty line", []string{head, a, ""}},
		{"a median of 0", []string{head, "main/a\t0\t0.4\t3\t0", b}},
		{"a median below 0", []string{head, "main/a\t-1\t0.4\t3\t0", b}},
		{"a median of infinity", []string{head, "main/a\tInf\t0.4\t3\t0", b}},
		{"a median that is none", []string{head, "main/a\tx\t0.4\t3\t0", b}},
		{"a spread below 0", []string{head, "main/a\t1.5\t-0.4\t3\t0", b}},
		{"a spread of NaN", []string{head, "main/a\t1.5\tNaN\t3\t0", b}},
		{"no send", []string{head, "main/a\t1.5\t0.4\t0\t0", b}},
		{"too many sends", []string{head, "main/a\t1.5\t0.4\t300\t0", b}},
		{"a group that is forgotten", []string{head, "main/a\t1.5\t0.4\t3\t60", b}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := state.ReadHistory(summed(tt.lines...)); err == nil {
				t.Error("got no error")
			}
		})
	}
	if _, err := state.ReadHistory(append(summed(head, a, b), '\n')); err == nil {
		t.Error("something behind the end: got no error")
	}
}

// anyHistory is what some runs of a small site leave.
func anyHistory(t *rapid.T) (*state.History, []string) {
	key := rapid.OneOf(rapid.StringMatching(`[a-c]/[a-z.\-]{1,3}`), rapid.StringN(1, 5, -1))
	keys := rapid.SliceOfNDistinct(key, 0, 30, rapid.ID).Draw(t, "keys")
	h := state.NewHistory()
	for range rapid.IntRange(0, 8).Draw(t, "runs") {
		h.List(slices.Values(keys[:rapid.IntRange(0, len(keys)).Draw(t, "listed")]))
		for _, k := range keys {
			if took := rapid.Int64Range(-1e9, 1e13).Draw(t, "took"); took%3 > 0 {
				h.Observe(ended(k, time.Duration(took), dispatcher.Accepted))
			}
		}
		h.Learn()
	}
	h.KeepFound(state.FoundLimit{
		Sends: rapid.IntRange(-1, 2e6).Draw(t, "sends found"), Spare: rapid.IntRange(-1, 2e3).Draw(t, "spare"),
		Share: rapid.Float64Range(-1, 2e3).Draw(t, "share"),
	})
	return h, keys
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, keys := anyHistory(t)
		written := text(t, h)
		got, err := state.ReadHistory(written)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		for _, k := range append(keys, "of nobody") {
			if got, want := got.Estimate(k), h.Estimate(k); got != want {
				t.Errorf("%q: got %+v, want %+v", k, got, want)
			}
		}
		if got, want := [2]float64{got.Pace(), got.PaceSpread()}, [2]float64{h.Pace(), h.PaceSpread()}; got != want {
			t.Errorf("got pace and its spread %v, want %v", got, want)
		}
		if got.Found() != h.Found() {
			t.Errorf("got %+v found, want %+v", got.Found(), h.Found())
		}
		if again := text(t, got); !bytes.Equal(again, written) {
			t.Errorf("got:\n%s\nwant:\n%s", again, written)
		}
	})
}

func TestDamageIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, _ := anyHistory(t)
		whole := text(t, h)
		damaged := slices.Clone(whole)
		at := rapid.IntRange(0, len(whole)-1).Draw(t, "at")
		if rapid.Bool().Draw(t, "cut") {
			damaged = damaged[:at]
		} else {
			damaged[at] ^= rapid.ByteRange(1, 255).Draw(t, "by")
		}
		if _, err := state.ReadHistory(damaged); err == nil {
			t.Errorf("read without an error:\n%s\nfrom:\n%s", damaged, whole)
		}
	})
}

func TestEveryCutAndEveryBitIsNoticed(t *testing.T) {
	whole := text(t, settled(3, 2))
	for at := range whole {
		if _, err := state.ReadHistory(whole[:at]); err == nil {
			t.Errorf("cut at %d: got no error", at)
		}
		for bit := range 8 {
			damaged := slices.Clone(whole)
			damaged[at] ^= 1 << bit
			if _, err := state.ReadHistory(damaged); err == nil {
				t.Errorf("bit %d of byte %d: got no error", bit, at)
			}
		}
	}
}

// The text is read as it is, and with the checksum that it ought to have: few inputs have one by themselves.
func FuzzRead(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("senddigest-history\t1\t0\t1\n"))
	f.Add([]byte("senddigest-history\t1\t2\t0\t1\t0.5\nmain/a\t1.5\t0.4\t3\t0\nmain/b\t2e-3\t0\t32\t59\n"))
	f.Add([]byte("senddigest-history\t2\t1\t0\t3\t7\t0.25\t1\nmain/a\t1.5\t0.4\t3\t0\t2\n"))
	f.Add([]byte("senddigest-history\t2\t2\n"))
	f.Add([]byte("senddigest-history\t2\t0\t2.6\t3\t7\t0.25\t1\n"))
	f.Add([]byte("senddigest-history\t3\t2\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, in := range [][]byte{body, fmt.Appendf(slices.Clone(body), "end\t%08x\n", crc32.ChecksumIEEE(body))} {
			h, err := state.ReadHistory(in)
			if err != nil {
				if strings.ContainsRune(err.Error(), '\n') {
					t.Errorf("an error of several lines: %q", err)
				}
				continue
			}
			written := text(t, h)
			again, err := state.ReadHistory(written)
			if err != nil {
				t.Fatalf("%v, of what was written:\n%s", err, written)
			}
			for line := range bytes.Lines(written) {
				key, _, _ := bytes.Cut(line, []byte("\t"))
				got, want := again.Estimate(string(key)), h.Estimate(string(key))
				if got != want || got.Median < 0 || !(got.Spread > 0) {
					t.Errorf("%q: got %+v, want %+v", key, got, want)
				}
			}
			learnFrom(h, usual(10)) // what was read can be learned from
			if _, err := state.ReadHistory(text(t, h)); err != nil {
				t.Errorf("%v, after a night", err)
			}
		}
	})
}

func BenchmarkHistory(b *testing.B) {
	const n = 200_000
	path := filepath.Join(b.TempDir(), "history")
	h := large(n)
	if err := h.Save(path); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if h, err := state.LoadHistory(path); err != nil || h.Known() != n {
				b.Fatal(err)
			}
		}
		held := grown(func() any { h, _ := state.LoadHistory(path); h.List(many(n)); return h })
		b.ReportMetric(held/n-float64(len(name(0))), "heap-B/group")
		b.ReportMetric(float64(info.Size())/n-float64(len(name(0))), "file-B/group")
	})
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.List(many(n))
		}
	})
	b.Run("first-list", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			state.NewHistory().List(many(n))
		}
	})
	b.Run("estimate", func(b *testing.B) {
		b.ReportAllocs()
		key := name(n / 3)
		for b.Loop() {
			h.Estimate(key)
		}
	})
	b.Run("learn-save", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			h.List(many(n))
			for key := range many(n) {
				h.Observe(ended(key, time.Second, dispatcher.Accepted))
			}
			b.StartTimer()
			h.Learn()
			if err := h.Save(path); err != nil {
				b.Fatal(err)
			}
		}
	})
}
