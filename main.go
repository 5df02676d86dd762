// Senddigest sends a GroupServer site's daily digests. See README.md.
package main

import (
	"os"

	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/process"
)

// version is set by the linker in builds from a checkout, see Makefile.
var version string

func main() { os.Exit(command.Main(command.Senddigest(), process.OS(version))) }
