// Senddigest-fleet sends a GroupServer site's digests from several machines. See docs/fleet.md.
package main

import (
	"os"

	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/fleet/program"
	"github.com/groupserver/senddigest/internal/process"
)

// version is set by the linker in builds from a checkout, see Makefile.
var version string

func main() { os.Exit(command.Main(program.New(), process.OS(version))) }
