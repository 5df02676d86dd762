// Package control lets the owner of a process, and root, ask things of it through a unix socket. It knows nothing of what is
// asked: a [Server] passes an action with its value on, and answers with what came of it; [Ask] is the other end.
//
// A connection has one request and one answer, each a line of JSON:
//
//	{"control":1,"action":"workers","value":"1"}
//	{"control":1,"status":{…}}         or          {"control":1,"error":"no run is going"}
//
// The error of a peer who may ask nothing comes with "denied":true.
//
// A server owns a goroutine that accepts connections, and one for each of them, at most eight: who says nothing is dropped
// after a second. Close waits for all.
package control

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	version    = 1
	maxRequest = 4 << 10  // bytes of a request; a longer one is refused
	maxAnswer  = 64 << 10 // bytes of an answer
	patience   = time.Second
	most       = 8 // connections that are served at once; others wait
	// longestPath is what a socket's address has room for, in bytes.
	longestPath = 107
)

type request struct {
	Control int    `json:"control"`
	Action  string `json:"action"`
	Value   string `json:"value,omitempty"`
}

type answer struct {
	Control int             `json:"control"`
	Status  json.RawMessage `json:"status,omitempty"`
	Error   string          `json:"error,omitempty"`
	Denied  bool            `json:"denied,omitempty"` // to who asks, whatever it was
}

// A Server answers at a socket until Close.
type Server struct {
	paths    []string
	listener *net.UnixListener
	answer   func(action, value string) (any, error)
	ctx      context.Context // until Close
	close    context.CancelFunc
	done     sync.WaitGroup
}

// Listen makes a socket at the first path, for its owner alone, and links the others to it. What stands there is replaced: the
// caller knows that nobody listens. do may be called by several goroutines at once; its error is told to who asks.
func Listen(paths []string, do func(action, value string) (any, error)) (*Server, error) {
	if len(paths) == 0 {
		return nil, errors.New("no path for the control socket")
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	var listener *net.UnixListener
	err := at(paths[0], func(address string) (err error) {
		listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", paths[0], bare(err))
	}
	listener.SetUnlinkOnClose(false) // its address may be none by then
	s := &Server{paths: paths, listener: listener, answer: do}
	s.ctx, s.close = context.WithCancel(context.Background())
	if err := os.Chmod(paths[0], 0o600); err != nil {
		s.close()
		s.remove()
		return nil, errors.Join(err, listener.Close())
	}
	for _, path := range paths[1:] {
		_ = os.Link(paths[0], path) // a file system without links has the first one
	}
	s.done.Go(s.serve)
	return s, nil
}

// Close removes the socket, and returns when nothing more is answered.
func (s *Server) Close() {
	s.remove()
	s.close()
	_ = s.listener.Close()
	s.done.Wait()
}

func (s *Server) remove() {
	for _, path := range s.paths {
		_ = os.Remove(path)
	}
}

func (s *Server) serve() {
	slots := make(chan struct{}, most)
	for {
		select {
		case slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			<-slots
			if !s.rest() {
				return
			}
			continue
		}
		s.done.Go(func() {
			s.converse(conn)
			_ = conn.Close()
			<-slots
		})
	}
}

// rest waits after a connection that could not be accepted, for want of file descriptors say. It reports whether the
// server goes on.
func (s *Server) rest() bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// converse answers one request. After Close no request is waited for.
func (s *Server) converse(conn *net.UnixConn) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	defer context.AfterFunc(s.ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	a := answer{Control: version}
	if status, err := s.asked(conn); err != nil {
		a.Error, a.Denied = err.Error(), errors.Is(err, errDenied)
	} else if a.Status, err = json.Marshal(status); err != nil {
		a.Error = err.Error()
	}
	_ = conn.SetWriteDeadline(time.Now().Add(patience))
	_ = json.NewEncoder(conn).Encode(a)
}

func (s *Server) asked(conn *net.UnixConn) (any, error) {
	if err := allowed(conn); err != nil {
		return nil, err
	}
	line, err := bufio.NewReaderSize(io.LimitReader(conn, maxRequest), maxRequest).ReadSlice('\n')
	var r request
	switch {
	case errors.Is(err, io.EOF) && len(line) == maxRequest, errors.Is(err, bufio.ErrBufferFull):
		return nil, errors.New("the request is too long")
	case err != nil || json.Unmarshal(line, &r) != nil:
		return nil, errors.New("a request is one line of JSON")
	case r.Control != version:
		return nil, fmt.Errorf("the run speaks version %d, the request %d", version, r.Control)
	}
	return s.answer(r.Action, r.Value)
}

// errDenied refuses a peer.
var errDenied = errors.New("permission denied: a run is steered by its owner and root alone")

// allowed refuses whoever is neither root nor the owner of this process: the socket's mode may not count where it lies.
func allowed(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	if failed := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); failed != nil || err != nil {
		return errors.Join(failed, err)
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		return errDenied
	}
	return nil
}

// at calls use with an address for the socket at path, by way of its directory where path is too long to be one.
func at(path string, use func(address string) error) error {
	if len(path) <= longestPath {
		return use(path)
	}
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

// ErrNobody is that nobody listens.
var ErrNobody = errors.New("nobody listens")

// A RefusedError is what the other end answered instead of a status.
type RefusedError struct {
	Problem string
	Denied  bool // because of who asked: it is an [fs.ErrPermission] as well
}

func (e *RefusedError) Error() string { return e.Problem }

// Is reports whether target is [fs.ErrPermission], and the refusal one of that kind.
func (e *RefusedError) Is(target error) bool { return e.Denied && target == fs.ErrPermission }

// Ask asks for an action at the first of the sockets at which somebody listens, and returns the status. Its error is
// [ErrNobody]; a [*RefusedError]; a [*SilentError]; or one of the system, such as [fs.ErrPermission].
func Ask(ctx context.Context, paths []string, action, value string) (json.RawMessage, error) {
	for _, path := range paths {
		var conn net.Conn
		err := at(path, func(address string) (err error) {
			conn, err = new(net.Dialer).DialContext(ctx, "unix", address)
			return err
		})
		switch {
		case err == nil:
			return ask(ctx, conn, action, value)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED): // gone, or left over by one that was killed
		default:
			return nil, fmt.Errorf("%s: %w", path, bare(err))
		}
	}
	return nil, ErrNobody
}

func ask(ctx context.Context, conn net.Conn, action, value string) (json.RawMessage, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	defer func() { _ = conn.Close() }()
	unasked := json.NewEncoder(conn).Encode(request{version, action, value}) // who is refused may have an answer all the same
	var a answer
	if err := json.NewDecoder(io.LimitReader(conn, maxAnswer)).Decode(&a); err != nil {
		err = cmp.Or(unasked, err)
		switch {
		case ctx.Err() != nil:
			return nil, &SilentError{context.Cause(ctx)}
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE): // it has ended since
			return nil, ErrNobody
		}
		return nil, fmt.Errorf("no answer from the run: %w", bare(err))
	}
	if a.Error != "" {
		return nil, &RefusedError{a.Error, a.Denied}
	}
	return a.Status, nil
}

// A SilentError is a run that took what was asked for, and has not answered: it may still do it.
type SilentError struct{ Cause error }

func (e *SilentError) Error() string { return "the run does not answer: " + e.Cause.Error() }

func (e *SilentError) Unwrap() error { return e.Cause }

// bare is what the system said.
func bare(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	return err
}
