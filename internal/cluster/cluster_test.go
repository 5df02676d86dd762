package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

func TestAClusterHasWhatItsOptionsSay(t *testing.T) {
	t.Parallel()
	c := start(t, cluster.Options{TimeZone: "Pacific/Auckland", MaxPrepared: 3, Settings: map[string]string{"work_mem": "5MB"}})
	conn := connect(t, c)
	for sql, want := range map[string]string{
		"SHOW timezone":                  "Pacific/Auckland",
		"SHOW max_prepared_transactions": "3",
		"SHOW work_mem":                  "5MB",
		"SHOW listen_addresses":          "",
		"SHOW server_encoding":           "UTF8",
		"SELECT current_user":            cluster.Role,
	} {
		if got := ask(t, conn, sql); got != want {
			t.Errorf("%s: got %q, want %q", sql, got, want)
		}
	}
}

func TestTheZeroOptionsAreAServerInUTCWithTheInstallersNumberOfPreparedTransactions(t *testing.T) {
	t.Parallel()
	c := start(t, cluster.Options{})
	conn := connect(t, c)
	for sql, want := range map[string]string{
		"SHOW timezone": "UTC", "SHOW max_prepared_transactions": strconv.Itoa(cluster.DefaultMaxPrepared),
	} {
		if got := ask(t, conn, sql); got != want {
			t.Errorf("%s: got %q, want %q", sql, got, want)
		}
	}
	info, err := os.Stat(c.SocketFolder())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: got %v, %v, want one that nobody else may enter", info.Mode(), err)
	}
}

func TestOverTCPTheServerWantsThePassword(t *testing.T) {
	t.Parallel()
	c := start(t, cluster.Options{TCP: true, Password: "open:sesame"})
	if want := "postgres://gsadmin:open:sesame@127.0.0.1:" + strconv.Itoa(c.Port()) + "/postgres"; c.DSN("postgres") != want {
		t.Errorf("DSN: got %s, want %s", c.DSN("postgres"), want)
	}
	ask(t, connect(t, c), "SELECT 1")

	wrong := strings.Replace(c.DSN("postgres"), "sesame", "barley", 1)
	_, err := pgconn.Connect(patient(t), wrong)
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "28P01" {
		t.Errorf("with another password: got %v, want it refused", err)
	}
	if files, err := filepath.Glob(filepath.Join(c.SocketFolder(), "*password*")); err != nil || files != nil {
		t.Errorf("the password's file: got %v, %v, want none any more", files, err)
	}
}

func TestOptionsThatWouldOpenTheMachineAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []cluster.Options{{TCP: true}, {Password: "two\nlines"}} {
		if c, err := cluster.Start(context.Background(), o); err == nil {
			t.Errorf("%+v: got a cluster", o)
			_ = c.Close()
		}
	}
}

func TestAServerStartsAgainOnItsDataAndAtItsPort(t *testing.T) {
	t.Parallel()
	c := start(t, cluster.Options{TCP: true, Password: "sesame"})
	dsn := c.DSN("postgres")
	ask(t, connect(t, c), "CREATE TABLE kept (n integer)")
	if err := c.Start(patient(t)); err == nil {
		t.Error("a second server on the same folder: got no error")
	}
	for i, end := range map[int]func() error{
		1: func() error { return c.Stop(patient(t)) },
		2: func() error { c.Kill(); return nil },
	} {
		open := connect(t, c)
		ask(t, open, "INSERT INTO kept VALUES ("+strconv.Itoa(i)+")")
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if _, err := open.Exec(patient(t), "SELECT 1").ReadAll(); err == nil {
			t.Error("a connection outlived its server")
		}
		if _, err := pgconn.Connect(patient(t), dsn); err == nil {
			t.Error("connected while no server runs")
		}
		if err := c.Stop(patient(t)); err != nil {
			t.Errorf("Stop where no server runs: %v", err)
		}
		if err := c.Start(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(t, connect(t, c), "SELECT count(*) FROM kept"); got != "2" || c.DSN("postgres") != dsn {
		t.Errorf("got %s rows at %s, want both at %s", got, c.DSN("postgres"), dsn)
	}
	if !strings.Contains(c.Log(), "automatic recovery in progress") {
		t.Errorf("the log says nothing of the crash:\n%s", c.Log())
	}
}

func TestACloseLeavesNothing(t *testing.T) {
	t.Parallel()
	c := start(t, cluster.Options{})
	segment := sharedMemory(t, c)
	c.Kill()
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(c.SocketFolder()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: got %v, want it gone", err)
	}
	if _, err := unix.SysvShmCtl(segment, unix.IPC_STAT, new(unix.SysvShmDesc)); err == nil {
		t.Error("the shared memory of the killed server is still there")
	}
	if err := c.Start(patient(t)); err == nil {
		t.Error("started after Close")
	}
}

// sharedMemory is the number of the server's segment, which stands in the seventh line of its file.
func sharedMemory(t testing.TB, c *cluster.Cluster) int {
	t.Helper()
	return pidFile(t, c.SocketFolder(), 7, 1)
}

// pidFile is a number in the file that a server keeps of itself, by its line and column.
func pidFile(t testing.TB, dir string, line, column int) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(strings.Split(string(text), "\n")[line-1])[column])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAFailingServerSaysWhy(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	_, err := cluster.Start(patient(t), cluster.Options{Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("got %v, want what the server logged", err)
	}
	_, err = cluster.Start(patient(t), cluster.Options{Binaries: t.TempDir()})
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) { // root's server may not even look into that folder
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestAStartThatIsCalledOffLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	called := errors.New("called off")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(called)
	if _, err := cluster.Start(ctx, cluster.Options{}); !errors.Is(err, called) {
		t.Errorf("got %v, want %v", err, called)
	}
	c := start(t, cluster.Options{})
	if err := c.Stop(patient(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); !errors.Is(err, called) {
		t.Errorf("got %v, want %v", err, called)
	}
	if err := c.Start(patient(t)); err != nil {
		t.Errorf("after a start that was called off: %v", err)
	}
	if err := c.Stop(ctx); err != nil && !errors.Is(err, called) { // it may be over before anybody looks at ctx
		t.Errorf("got %v, want %v", err, called)
	}
}

// A server whose parent were the thread that called Start would end with that thread.
func TestTheServerOutlivesTheThreadThatAskedForIt(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	var c *cluster.Cluster
	var err error
	thread, ended := 0, make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and not unlocked: the thread ends with the goroutine
		thread = unix.Gettid()
		c, err = cluster.Start(patient(t), cluster.Options{})
	}()
	<-ended
	if err != nil {
		t.Fatal(hinted(err))
	}
	defer c.Close()
	for patient := patient(t); patient.Err() == nil; runtime.Gosched() {
		if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(thread)); err != nil {
			break
		}
	}
	ask(t, connect(t, c), "SELECT 1")
	if got := c.Log(); strings.Contains(got, "shutdown request") {
		t.Errorf("the server ended:\n%s", got)
	}
}

func TestTheServerEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir, err := bufio.NewReader(stdout).ReadString('\n')
	if dir = strings.TrimSpace(dir); err != nil || !filepath.IsAbs(dir) {
		t.Fatalf("got %q, %v, want the cluster's folder", dir, err)
	}
	defer os.RemoveAll(dir)
	server, err := unix.PidfdOpen(pidFile(t, dir, 1, 0), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(server)

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ended := []unix.PollFd{{Fd: int32(server), Events: unix.POLLIN}}
	if n, err := unix.Poll(ended, int(patience.Milliseconds())); n != 1 {
		t.Errorf("got %d, %v: the server outlived its process by a minute", n, err)
	}
}
