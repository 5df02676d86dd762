// Package demo is a stand-in GroupServer site with what a GroupServer's administrator has: a configuration file, and over
// https the site's authority.
package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/standin"
)

// A Demo is a stand-in site that is served, and the files that a client of it needs.
type Demo struct {
	Site   *standin.Site
	Server *standin.Server
	Faults bool // something is to go wrong
	URL    string
	Dir    string
	Config string
	CACert string // empty without TLS

	database *Database // nil: there is none
}

// Options of a demo.
type Options struct {
	Groups   int
	Threads  int
	Seed     uint64 // which groups there are and what they cost is drawn from it
	Listen   string // an address
	TLS      bool
	Faults   []string // as [standin.ParseFault] reads them; nil: the usual few
	NoFaults bool     // let nothing go wrong
	Ledger   bool     // the site has a database, in which it keeps what it mailed
}

// A FaultError is a fault that is none.
type FaultError struct{ Err error }

func (e *FaultError) Error() string { return "--fault: " + e.Err.Error() }

// A ListenError is an address that cannot be listened at.
type ListenError struct {
	Address string
	Err     error
}

// Hint says what to give instead.
func (e *ListenError) Hint() string { return "name an address of this machine and a free port" }

func (e *ListenError) Error() string { return fmt.Sprintf("--listen %s: %v", e.Address, e.Err) }

// people is how many the site lists for sendprofile, which has no demo of its own: --serve-only is for both.
const people = 20

// Start serves a site. Its errors are [*FaultError], [*ListenError], [*cluster.NotFoundError] and those of package report.
func Start(ctx context.Context, o Options) (*Demo, error) {
	site := standin.Options{
		Token:   "demoToken" + fmt.Sprint(o.Seed),
		Groups:  standin.Generate(o.Groups, o.Seed),
		Threads: o.Threads, Cost: standin.HeavyTail(o.Seed),
	}
	for i := range people {
		site.People = append(site.People, fmt.Sprintf("demo-person-%02d", i+1))
	}
	for _, text := range o.Faults {
		fault, err := standin.ParseFault(text)
		if err != nil {
			return nil, &FaultError{err}
		}
		site.Faults = append(site.Faults, fault)
	}
	if o.Faults == nil && !o.NoFaults {
		site.Faults, site.Unknown = usualFaults(site.Groups)
	}
	d := &Demo{Faults: len(site.Faults) > 0}
	if o.Ledger {
		var err error
		if d.database, err = startDatabase(ctx, &site); err != nil {
			return nil, err
		}
	}
	d.Site = standin.New(site)
	if err := d.start(o.Listen, o.TLS, site.Token); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// start serves the site and writes its files.
func (d *Demo) start(address string, useTLS bool, token string) error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return &ListenError{address, err}
	}
	if useTLS {
		if d.Server, err = d.Site.ServeTLS(listener); err != nil {
			return err
		}
	} else {
		d.Server = d.Site.Serve(listener)
	}
	d.URL = d.Server.URL + "/"
	return d.writeFiles(token)
}

// usualFaults makes a few of the groups fail, each in another way, and one be long gone.
func usualFaults(groups []standin.Group) (faults []standin.Fault, unknown []standin.Group) {
	sorted := slices.Clone(groups)
	slices.SortFunc(sorted, func(a, b standin.Group) int {
		return slices.Compare([]string{a.Site, a.Group}, []string{b.Site, b.Group})
	})
	const every = 4 // so many faults fit, spread over the list
	for i, kind := range []string{"500", "proxy-504", "500"} {
		if at := (i + 1) * len(sorted) / every; at < len(sorted) {
			fault, err := standin.ParseFault(campaign.Literal(sorted[at].Site, sorted[at].Group) + "=" + kind)
			if err == nil {
				faults = append(faults, fault)
			}
		}
	}
	if len(sorted) > 0 {
		unknown = sorted[:1]
	}
	return faults, unknown
}

// writeFiles writes what a GroupServer's administrator has: the configuration file, and the site's authority.
func (d *Demo) writeFiles(token string) (err error) {
	if d.Dir, err = os.MkdirTemp("", "senddigest-demo-"); err != nil {
		return &report.WriteError{Path: "the demo's configuration file", Err: err}
	}
	write := func(name string, text []byte) string {
		path := filepath.Join(d.Dir, name)
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		return path
	}
	d.Config = write("gsconfig.ini", []byte(d.configuration(token)))
	if d.Server.CA != nil {
		d.CACert = write("ca.pem", d.Server.CA)
	}
	if err != nil {
		return &report.WriteError{Path: "the demo's configuration file", Err: err}
	}
	return nil
}

// configuration is GroupServer's own.
func (d *Demo) configuration(token string) string {
	text := "[config-default]\nwebservice = default\n"
	if d.database != nil {
		text += "database = default\n\n[database-default]\ndsn = " + d.database.tables.DSN() + "\n"
	}
	return text + "\n[webservice-default]\ntoken = " + token + "\n"
}

// Close ends the site and removes its files.
func (d *Demo) Close() {
	if d.Server != nil {
		d.Server.Close()
	}
	d.Site.Close()
	d.database.close()
	if d.Dir != "" {
		_ = os.RemoveAll(d.Dir)
	}
}

// Mails is how many digests the site mailed, and of how many groups more than one.
func (d *Demo) Mails() (mailed, twice int) {
	for _, n := range d.Site.Mails() {
		mailed += n
		if n > 1 {
			twice++
		}
	}
	return mailed, twice
}

// Compare says what the site saw of a run, and how fast that was.
func (d *Demo) Compare(w io.Writer, run *report.Document) {
	mailed, twice := d.Mails()
	wall, alone := run.Finished.Sub(run.Started), d.Site.Busy()
	fmt.Fprintf(w, "\nthe site mailed %d digests, %d of them twice\n", mailed, twice)
	if alone <= 0 || wall <= 0 {
		return
	}
	fmt.Fprintf(w, "one at a time, as the Python script sends, the same work takes the site %v; this run took %v",
		alone.Round(100*time.Millisecond), wall.Round(100*time.Millisecond))
	if alone > wall { // not so with a low --rate, or one worker
		fmt.Fprintf(w, ": %.1f times as fast", alone.Seconds()/wall.Seconds())
	}
	fmt.Fprintln(w)
}
