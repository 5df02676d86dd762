package state

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"path"
	"strings"
)

// Installation names a GroupServer installation, whichever of its host names is asked. Its parts stand in journals
// and in the names of lock files.
//
// Two values are of one installation when either part is the same: the token is one for all sites of an
// installation, and a site keeps its address when its token is replaced or was mistyped. A copy of an installation
// with the same token counts as that installation. The zero value is any installation.
type Installation struct {
	Token string // from the token: 16 hexadecimal digits, or empty
	Site  string // from the site's address: 16 hexadecimal digits, or empty
}

// The key of a token. It must be the same for every run, and a thief who has a journal or the name of a lock file
// must not gain from it. No secret of ours could key it, for that would lie in the same directory. So it is
//
//   - slow: each guess of a token costs keyIterations hashes (some 20 ms; once a run for us);
//   - short: 64 bits cannot tell which of some 2^190 tokens of 32 letters and digits it came from. A guess can be
//     ruled out by it, but never be proved right;
//   - of a salt that says what it is for, so that no table made for something else serves.
const (
	keyIterations = 100_000
	keySalt       = "github.com/groupserver/senddigest: installation, version 1"
	keyBytes      = 8
)

// NewInstallation names the installation of a site. tokenDigest is any digest of the token, always made in the same
// way; it is kept nowhere. Either may be missing.
func NewInstallation(tokenDigest string, site *url.URL) Installation {
	var in Installation
	if tokenDigest != "" {
		key, err := pbkdf2.Key(sha256.New, tokenDigest, []byte(keySalt), keyIterations, keyBytes)
		if err == nil { // it fails only where FIPS 140 mode forbids so short a key, and then the address has to do
			in.Token = hex.EncodeToString(key)
		}
	}
	if site != nil && site.Host != "" {
		sum := sha256.Sum256([]byte(address(site)))
		in.Site = hex.EncodeToString(sum[:keyBytes])
	}
	return in
}

// address is host, port and path of a site, written in one way. The scheme is left out: http and https lead to the
// same site, the one by way of the other.
func address(site *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(site.Hostname()), ".")
	port := site.Port()
	if port == "" || port == "80" && strings.EqualFold(site.Scheme, "http") ||
		port == "443" && strings.EqualFold(site.Scheme, "https") {
		port = "default"
	}
	return host + ":" + port + path.Join("/", site.Path)
}

// IsZero tells whether nothing is known of the installation.
func (in Installation) IsZero() bool { return in == Installation{} }

// Matches tells whether other may be the same installation.
func (in Installation) Matches(other Installation) bool {
	return in.IsZero() || in.Token != "" && in.Token == other.Token || in.Site != "" && in.Site == other.Site
}

// locks gives the names of its locks, in the order in which every process takes them.
func (in Installation) locks() []string {
	var names []string
	if in.Token != "" {
		names = append(names, "installation-"+in.Token+lockSuffix)
	}
	if in.Site != "" {
		names = append(names, "site-"+in.Site+lockSuffix)
	}
	return names
}

// Sockets gives the paths of the sockets by which a run of an installation is steered, beside its locks. The directory at dir
// need not be there. campaign is as of [Dir.For].
func Sockets(dir, campaign string, in Installation) (paths []string) {
	return (&Dir{path: dir}).For(campaign).Sockets(in)
}

// Sockets are those of [Sockets] in this directory.
func (d *Dir) Sockets(in Installation) (paths []string) {
	for _, lock := range in.locks() {
		paths = append(paths, d.file(strings.TrimSuffix(lock, lockSuffix)+".sock"))
	}
	return paths
}

const lockSuffix = ".lock"
