package cluster

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// debian is where Debian's packages put PostgreSQL: each major version in a folder of its own, none in the PATH.
const debian = "/usr/lib/postgresql"

// A NotFoundError means that PostgreSQL's server is not installed.
type NotFoundError struct{}

func (*NotFoundError) Error() string {
	return "PostgreSQL's server was not found: initdb and postgres are neither in the PATH nor in " + debian + "/*/bin"
}

// Hint says how to get it.
func (*NotFoundError) Hint() string { return "on Debian, as root: apt install postgresql" }

// Find returns the folder of PostgreSQL's initdb and postgres: the first in the PATH, else that of the newest version in
// Debian's place. Its error is a [*NotFoundError].
func Find() (string, error) { return find(os.Getenv("PATH"), debian) }

func find(path, versions string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if filepath.IsAbs(dir) && holdsServer(dir) { // another one would mean something else to the server, in its own folder
			return dir, nil
		}
	}
	newest, found := 0.0, ""
	dirs, _ := filepath.Glob(filepath.Join(versions, "*", "bin")) // fails for a bad pattern alone
	for _, dir := range dirs {
		version, err := strconv.ParseFloat(filepath.Base(filepath.Dir(dir)), 64) // 9.6, 15
		if err == nil && version > newest && holdsServer(dir) {
			newest, found = version, dir
		}
	}
	if found == "" {
		return "", &NotFoundError{}
	}
	return found, nil
}

func holdsServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// environment is this process's without what would have a say in how the programs work: their own variables, and the
// language, for the log is read.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "LANG") || name == "TZ" {
			continue
		}
		env = append(env, v)
	}
	return append(env, "LC_ALL=C")
}
