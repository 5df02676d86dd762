package command

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/groupserver/senddigest/internal/browse"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/internal/web"
	"github.com/urfave/cli/v2"
)

// browse shows the runs that are kept in a browser until a signal comes.
func (p command) browse(c *cli.Context, args map[string][]string, s *config.Settings) error {
	ctx, _, end := p.Stops(io.Discard, "", "") // before anybody can read where it is
	defer end()
	server, err := web.Start(ctx, c.String("listen"), c.Bool("listen-anywhere"), browse.Handler(browse.Options{
		Open: func() (*campaign.Archive, error) {
			archive, _, err := p.archive(args)
			return archive, err
		},
		GoOn: func(run *state.Run, mode campaign.Mode) string { return p.goOn(args, s, run, mode) },
	}))
	if err != nil {
		if _, refused := errors.AsType[*web.AddressError](err); refused {
			return listenError(err)
		}
		return &usageError{fmt.Sprintf("--listen %s: %v", c.String("listen"), err), "name a free port, or 0 for any"}
	}
	fmt.Fprintf(p.Stderr, "%s: the runs are at %s, until a signal comes\n", p.program.Name, server.URL())
	<-ctx.Done()
	server.Close(time.Second)
	return nil
}
