// Package e2e_test runs the whole program in processes of its own, against sites, terminals, disks and service managers.
package e2e_test

import (
	"testing"

	"github.com/groupserver/senddigest/internal/e2e/program"
)

func TestMain(m *testing.M) { program.Main(m) }
