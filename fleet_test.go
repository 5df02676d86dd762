package main

import (
	"testing"

	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/rogpeppe/go-internal/testscript"
)

// queues is the PostgreSQL of the scripts of senddigest-fleet.
var queues fleettest.Server

// makeQueue is the command queue: an empty database for a queue, in SENDDIGEST_QUEUE_DSN.
func makeQueue(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Setenv("SENDDIGEST_QUEUE_DSN", queues.DSN(t))
	}
}
