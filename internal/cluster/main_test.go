package cluster_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

// One test needs a second process that can be killed. It is this test binary again, with this variable set.
const childVariable = "CLUSTER_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}

// serve starts a cluster, says where, and waits to be killed.
func serve() {
	c, err := cluster.Start(context.Background(), cluster.Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.SocketFolder())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// patience is how long a test waits for something that comes soon where all is well.
const patience = time.Minute

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no PostgreSQL")
	}
}

// start makes a cluster that ends with the test.
func start(t testing.TB, o cluster.Options) *cluster.Cluster {
	t.Helper()
	skipIfShort(t)
	c, err := cluster.Start(patient(t), o)
	if err != nil {
		t.Fatal(hinted(err))
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// hinted is the error with its hint.
func hinted(err error) string {
	text := err.Error()
	if h, ok := err.(interface{ Hint() string }); ok {
		text += "\nhint: " + h.Hint()
	}
	return text
}

func connect(t testing.TB, c *cluster.Cluster) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(patient(t), c.DSN("postgres"))
	if err != nil {
		t.Fatalf("%v\n%s", err, c.Log())
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// ask returns the first column of the last row; "" where there is none.
func ask(t testing.TB, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	results, err := conn.Exec(patient(t), sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	last := results[len(results)-1]
	if len(last.Rows) == 0 {
		return ""
	}
	return string(last.Rows[len(last.Rows)-1][0])
}
