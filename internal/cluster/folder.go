package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// longestSocket is what the kernel takes as the path of a socket, in bytes: 107 on Linux, 103 elsewhere.
const longestSocket = 103

// unprivileged returns whom the server is to run as, since it refuses to run as root; nil where this process is not root's.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// makeFolder makes the cluster's folder, which only its owner may enter: that is what keeps others from the socket.
func makeFolder(as *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp(parent(as), "pg")
	if err != nil || as == nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(as.Uid), int(as.Gid))
}

// parent is the system's folder for temporary files, or /tmp where that one will not do: its name is too long for a socket
// below it, or it is not for everybody, as those of tests and of sessions are, and the server runs as somebody else.
func parent(as *syscall.Credential) string {
	const below = "/pg1234567890/.s.PGSQL.65535"
	dir, err := filepath.Abs(os.TempDir())
	if err != nil || len(dir)+len(below) > longestSocket || as != nil && !public(dir) {
		return "/tmp"
	}
	return dir
}

// public reports whether everybody may enter dir.
func public(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		up := filepath.Dir(dir)
		if up == dir {
			return true
		}
		dir = up
	}
}

// FreePort draws a port of 127.0.0.1 that is free now. It is below those that systems give to outgoing connections, so that it most
// likely is free, too, when the server starts again.
func FreePort(ctx context.Context) (int, error) {
	var failed error
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			failed = err
			continue
		}
		return port, l.Close()
	}
	return 0, errors.Join(errors.New("no free port on 127.0.0.1"), failed)
}
