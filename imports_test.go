package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/groupserver/senddigest"

// A row says what one package may import besides the standard library.
type row struct {
	pkg     string   // path below the module; "." is the program
	ours    []string // packages of this module, in the same form
	outside []string // packages of other modules, by their whole path: leave to import one is not leave for its subpackages
	never   []string // what it may not even have from the standard library, with everything below it
}

// world is what the scheduling of sends knows nothing of: the network, files, the terminal, flags.
var world = []string{"net", "os", "flag"}

// table is the architecture. Imports point down: a row names only rows above it. Each library from outside lives in
// one package, so that replacing it touches one folder.
// hooks and dispatcher do not know each other; they meet in campaign. standin does not know hooks: the client's
// reading of the server must not be checked against itself.
// A new package gets its row in the change that brings it.
var table = []row{
	{pkg: "testdata/groupserver"},
	{pkg: "internal/printable"},
	{pkg: "internal/dsn", ours: []string{"internal/printable"}, never: world},
	{pkg: "internal/notify"},
	{pkg: "internal/manual"},
	{pkg: "internal/replace", outside: []string{"github.com/google/renameio/v2"}},
	{pkg: "internal/screen", never: world}, // for tests
	{pkg: "internal/browser"},              // for tests
	{pkg: "ratelimit", outside: []string{"golang.org/x/time/rate"}, never: world},
	{pkg: "hooks", outside: []string{"golang.org/x/net/html"}},
	{pkg: "internal/canary", ours: []string{"ratelimit"}},
	{pkg: "dispatcher", ours: []string{"ratelimit"}, outside: []string{"golang.org/x/sync/errgroup"}, never: world},
	{pkg: "internal/guard", never: world},
	{pkg: "internal/ledger", ours: []string{"internal/guard"}, never: world},
	{pkg: "internal/report", ours: []string{"dispatcher", "internal/ledger", "internal/printable", "internal/replace"}},
	{pkg: "internal/ledger/postgres", ours: []string{"internal/dsn", "internal/ledger"}, outside: []string{"github.com/jackc/pgx/v5/pgconn"}},
	{pkg: "internal/ping"},
	{pkg: "internal/schedule", ours: []string{"dispatcher", "ratelimit"}, never: world},
	{pkg: "internal/gsconfig", ours: []string{"internal/printable"}},
	{pkg: "internal/state", ours: []string{"dispatcher", "internal/ledger", "internal/printable", "internal/replace"}},
	{pkg: "internal/campaign", ours: []string{"internal/printable", "internal/guard", "internal/ledger", "dispatcher", "hooks", "ratelimit", "internal/report", "internal/state", "internal/schedule"}},
	{pkg: "internal/config", ours: []string{"hooks", "ratelimit", "internal/dsn", "internal/gsconfig", "internal/schedule", "internal/campaign"}}, // campaign for the settings of a run
	{pkg: "internal/progress", ours: []string{"dispatcher", "ratelimit", "internal/campaign", "internal/printable"}, outside: []string{"github.com/clipperhouse/displaywidth"}},
	{pkg: "internal/metrics", ours: []string{"dispatcher", "hooks", "internal/campaign", "internal/ledger", "internal/printable", "internal/report", "internal/replace"}}, // hooks for the spelling of a site
	{pkg: "internal/control", outside: []string{"golang.org/x/sys/unix"}},                                                                                                 // as internal/process: who the peer is
	{pkg: "internal/web"},
	{pkg: "internal/live", ours: []string{"dispatcher", "internal/campaign", "internal/metrics", "internal/report", "internal/state", "internal/web"}},
	{pkg: "internal/browse", ours: []string{"internal/campaign", "internal/report", "internal/state", "internal/web"}},
	{pkg: "internal/observe", ours: []string{"dispatcher", "internal/campaign", "internal/notify", "internal/ping", "internal/printable"}},
	{pkg: "internal/child"},
	{pkg: "internal/cluster", ours: []string{"internal/child"}}, // for tests and the demo
	{pkg: "internal/standin", ours: []string{"testdata/groupserver"}},
	// It does not know internal/ledger/postgres, for the reason of hooks above, so the driver lives in both.
	{
		pkg: "internal/standin/tables", ours: []string{"internal/cluster", "internal/standin"},
		outside: []string{"github.com/jackc/pgx/v5/pgconn"},
	},
	{pkg: "internal/standin/tables/tablestest", ours: []string{"internal/cluster", "internal/standin/tables"}},
	{pkg: "internal/fleet", ours: []string{"dispatcher", "internal/dsn", "internal/printable", "ratelimit"}, outside: []string{
		"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgconn", "github.com/jackc/pgx/v5/pgxpool",
	}},
	{pkg: "internal/fleet/queue", ours: []string{"internal/fleet"}, outside: []string{
		"github.com/jackc/pgx/v5", "github.com/riverqueue/river", "github.com/riverqueue/river/riverdriver/riverpgxv5",
		"github.com/riverqueue/river/rivermigrate", "github.com/riverqueue/river/rivertype",
	}},
	{
		pkg:  "internal/fleet/worker",
		ours: []string{"dispatcher", "hooks", "internal/campaign", "internal/fleet", "internal/fleet/queue", "internal/state", "ratelimit"}, outside: []string{
			"github.com/riverqueue/river", "github.com/riverqueue/river/riverdriver/riverpgxv5", "github.com/riverqueue/river/rivertype",
		},
	},
	{pkg: "internal/fleet/night", ours: []string{
		"dispatcher", "ratelimit", "internal/campaign", "internal/fleet", "internal/fleet/queue", "internal/guard", "internal/printable",
		"internal/report", "internal/state",
	}},
	{pkg: "internal/fleet/fleettest", ours: []string{"internal/dsn", "internal/fleet", "internal/standin/tables", "internal/standin/tables/tablestest"}},
	{pkg: "internal/demo", ours: []string{"internal/campaign", "internal/cluster", "internal/report", "internal/standin", "internal/standin/tables"}},
	{pkg: "internal/fleet/demo", ours: []string{
		"internal/child", "internal/cluster", "internal/config", "internal/demo", "internal/dsn", "internal/fleet", "internal/standin/tables",
	}},
	{
		pkg: "internal/process", ours: []string{"internal/campaign", "internal/progress"},
		outside: []string{"golang.org/x/sys/unix", "golang.org/x/term"},
	},
	{
		pkg: "internal/command",
		ours: []string{
			"ratelimit", "hooks", "dispatcher", "internal/canary", "internal/progress", "internal/report", "internal/config", "internal/gsconfig",
			"internal/campaign", "internal/demo", "internal/printable", "internal/state", "internal/standin",
			"internal/metrics", "internal/ping", "internal/notify", "internal/observe", "internal/manual", "internal/process",
			"internal/ledger/postgres", "internal/control", "internal/live", "internal/browse", "internal/web",
		},
		outside: []string{"github.com/urfave/cli/v2"},
	},
	{
		pkg: "internal/fleet/program",
		ours: []string{
			"hooks", "ratelimit", "internal/campaign", "internal/command", "internal/config", "internal/fleet", "internal/fleet/demo", "internal/fleet/night", "internal/fleet/queue",
			"internal/fleet/worker", "internal/live", "internal/manual", "internal/printable", "internal/report", "internal/web",
		},
		outside: []string{"riverqueue.com/riverui"},
	},
	{pkg: ".", ours: []string{"internal/command", "internal/process"}},
	{pkg: "cmd/sendprofile", ours: []string{"internal/command", "internal/process"}},
	{pkg: "cmd/senddigest-fleet", ours: []string{"internal/command", "internal/fleet/program", "internal/process"}},
	{pkg: "internal/e2e/program", ours: []string{"internal/command", "internal/process"}}, // for tests
	{pkg: "internal/e2e"}, // tests alone, as the next two
	{pkg: "internal/e2e/ledger"},
	{pkg: "internal/e2e/fleet"},
	{pkg: "docs"},
	{pkg: "contrib"},
	{pkg: "contrib/generate", ours: []string{"internal/command", "internal/fleet/program"}},
}

// A listed package is what go list -json tells of one. Imports leaves the tests' imports out: a test may use what it
// likes.
type listed struct {
	ImportPath string
	Imports    []string
}

func TestPackagesImportWhatTheTableAllows(t *testing.T) {
	t.Parallel()
	for _, fault := range judge(table, list(t)) {
		t.Error(fault)
	}
}

// The cron program is not a byte larger for what several machines need: of the driver it has the connection, and what that
// needs itself.
func TestTheProgramsForOneMachineLinkNoQueue(t *testing.T) {
	t.Parallel()
	const driver = "github.com/jackc/pgx"
	connection := deps(t, driver+"/v5/pgconn")
	for _, program := range []string{".", "./cmd/sendprofile"} {
		for _, pkg := range deps(t, program) {
			queue := strings.Contains(pkg, "riverqueue") || strings.HasPrefix(pkg, module+"/internal/fleet")
			if queue || strings.HasPrefix(pkg, driver) && !slices.Contains(connection, pkg) {
				t.Errorf("%s links %s", program, pkg)
			}
		}
	}
}

// deps are all packages that one links, itself included.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("%s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

func TestTheTableNamesOnlyRowsAbove(t *testing.T) {
	t.Parallel()
	var above []string
	for _, r := range table {
		for _, dep := range r.ours {
			if !slices.Contains(above, dep) {
				t.Errorf("row %s allows %s, which is no row above it", r.pkg, dep)
			}
		}
		if slices.Contains(above, r.pkg) {
			t.Errorf("two rows for %s", r.pkg)
		}
		above = append(above, r.pkg)
	}
}

// The judge is put on trial with packages that break each rule.
func TestEachBreachOfTheTableIsFound(t *testing.T) {
	t.Parallel()
	rows := []row{
		{pkg: "low", never: []string{"net", "os"}},
		{pkg: "high", ours: []string{"low"}, outside: []string{"example.org/lib"}},
		{pkg: "."},
	}
	tests := []struct {
		name string
		pkgs []listed // besides those that break no rule
		want []string
	}{
		{"nothing is wrong", nil, nil},
		{"ours, allowed", []listed{{module + "/high", []string{module + "/low"}}}, nil},
		{"ours, not allowed", []listed{{module + "/low", []string{module + "/high"}}}, []string{"low imports high"}},
		{"outside, allowed", []listed{{module + "/high", []string{"example.org/lib"}}}, nil},
		{"outside, not allowed", []listed{{module + "/low", []string{"example.org/lib"}}}, []string{"low imports example.org/lib"}},
		{"a subpackage of what is allowed", []listed{{module + "/high", []string{"example.org/lib/sub"}}}, []string{"high imports example.org/lib/sub"}},
		{"the standard library is free", []listed{{module, []string{"net/http", "os", "C"}}}, nil},
		{"but not where it is forbidden", []listed{{module + "/low", []string{"os", "net/http", "errors"}}}, []string{"low imports os", "low imports net/http"}},
		{"a name that only begins alike", []listed{{module + "/low", []string{"osx"}}}, nil},
		{"the program imported from below", []listed{{module + "/low", []string{module}}}, []string{"low imports ."}},
		{"a package without a row", []listed{{module + "/new", nil}}, []string{"new has no row in the table"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pkgs := append([]listed{{module + "/low", nil}, {module + "/high", nil}, {module, nil}}, tt.pkgs...)
			if diff := cmp.Diff(judge(rows, pkgs), tt.want); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
	t.Run("a row without a package", func(t *testing.T) {
		t.Parallel()
		got := judge(rows, []listed{{module + "/low", nil}, {module, nil}})
		if diff := cmp.Diff(got, []string{"high has a row in the table, and no Go files"}); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

// judge holds the packages against the rows, and says of each breach who imports what.
func judge(rows []row, pkgs []listed) []string {
	var faults []string
	seen := map[string]bool{}
	for _, p := range pkgs {
		name := short(p.ImportPath)
		seen[name] = true
		i := slices.IndexFunc(rows, func(r row) bool { return r.pkg == name })
		if i < 0 {
			faults = append(faults, name+" has no row in the table")
			continue
		}
		for _, imported := range p.Imports {
			if !rows[i].allows(imported) {
				faults = append(faults, fmt.Sprintf("%s imports %s", name, short(imported)))
			}
		}
	}
	for _, r := range rows {
		if !seen[r.pkg] {
			faults = append(faults, r.pkg+" has a row in the table, and no Go files")
		}
	}
	return faults
}

func (r row) allows(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	switch {
	case path == module || strings.HasPrefix(path, module+"/"):
		return slices.Contains(r.ours, short(path))
	case strings.Contains(first, "."): // a host name: not the standard library
		return slices.Contains(r.outside, path)
	default:
		return !slices.ContainsFunc(r.never, func(n string) bool { return path == n || strings.HasPrefix(path, n+"/") })
	}
}

// short is the form that the table uses for packages of this module.
func short(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// list asks go list for all packages of the module. ./... passes testdata by, so the one below it is named.
// With -e a package that does not compile is listed too: the compiler complains of it elsewhere.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", "./...", "./testdata/groupserver")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	var pkgs []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		pkgs = append(pkgs, p)
	}
}
