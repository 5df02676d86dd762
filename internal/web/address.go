package web

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// An AddressError is an address that is refused, whatever the machine says to it.
type AddressError struct {
	Address, Problem string
	Reachable        bool // it would do if other machines were welcome
}

func (e *AddressError) Error() string { return fmt.Sprintf("%s %s", e.Address, e.Problem) }

// resolve returns the numeric address to listen on. A name is resolved here and not once more by the one who listens, or it
// could be another's by then.
func resolve(ctx context.Context, address string, anywhere bool) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", &AddressError{Address: address, Problem: "is not HOST:PORT, such as 127.0.0.1:8377"}
	}
	if n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port); err != nil || n < 0 {
		return "", &AddressError{Address: address, Problem: "has no port from 0 to 65535"}
	}
	if host == "" {
		if !anywhere {
			return "", &AddressError{Address: address, Problem: "is every address of this machine, so that other machines could reach it", Reachable: true}
		}
		return address, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", err
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
		if !anywhere && !ips[i].IsLoopback() {
			return "", &AddressError{Address: address, Problem: fmt.Sprintf("is %v, which other machines could reach", ips[i]), Reachable: true}
		}
	}
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() }) // of localhost's two, 127.0.0.1
	return net.JoinHostPort(ips[0].String(), port), nil
}

// Judge reports whether [Start] would refuse an address, whatever the machine says to it: an [*AddressError]. Whose a name is
// it does not ask.
func Judge(address string, anywhere bool) error {
	host, _, err := net.SplitHostPort(address)
	if _, named := netip.ParseAddr(host); err == nil && host != "" && named != nil {
		return nil
	}
	_, err = resolve(context.Background(), address, anywhere)
	return err
}

// name is what a browser may call an address that is listened on: by the machine's own name where it is every address.
func name(at net.Addr) string {
	a, err := netip.ParseAddrPort(at.String())
	if host, herr := os.Hostname(); err == nil && herr == nil && a.Addr().IsUnspecified() {
		return net.JoinHostPort(host, strconv.Itoa(int(a.Port())))
	}
	return at.String()
}

// hosts are the names by which a Host header may call this machine.
type hosts struct {
	names    []string // in lower case
	address  netip.Addr
	anywhere bool
}

func newHosts(address string, at net.Addr, anywhere bool) hosts {
	h := hosts{names: []string{"localhost"}, anywhere: anywhere}
	if a, err := netip.ParseAddrPort(at.String()); err == nil {
		h.address = a.Addr().Unmap()
	}
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		h.names = append(h.names, strings.ToLower(host))
	}
	if name, err := os.Hostname(); err == nil && anywhere {
		h.names = append(h.names, strings.ToLower(name))
	}
	return h
}

// knows reports whether a Host header names this machine: as localhost, by the name that was listened on, by a loopback
// address or by that which is listened on. Where other machines may ask, the machine's own name and every numeric address
// do, for no name is rebound in these.
func (h hosts) knows(header string) bool {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip == h.address || h.anywhere
	}
	return slices.Contains(h.names, strings.ToLower(strings.TrimSuffix(host, ".")))
}
