// Package dsn reads the line by which GroupServer is told of its database, "postgres://USER:PASSWORD@HOST:PORT/DATABASE",
// as GroupServer reads it.
//
// The installer writes the password as it is, not escaped, and SQLAlchemy 0.9.10 makes sense of that. Other readers of
// such lines take a part of the password for the host's name, or refuse the line. So the law of this package is
// SQLAlchemy's make_url, and psycopg2, which is handed what make_url found. It connects to nothing, and it looks up
// nothing: neither PGHOST and its like, nor ~/.pgpass, nor a service file.
//
// Neither a message nor an error of this package holds the password, or anything of a text that could not be read.
package dsn

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/printable"
)

// DefaultPort is PostgreSQL's own.
const DefaultPort = 5432

// Form is how a DSN is to be written.
const Form = "postgres://USER:PASSWORD@HOST:PORT/DATABASE"

// A DSN says which database, and how to get into it. Its String is fit for messages.
//
// Options are what follows the "?". They come before what stands in front of it, as with psycopg2: host, port, user,
// password, dbname and database; also kept are sslmode, options, connect_timeout and application_name. All others are
// passed over, such as those that name files with certificates. An option without a value is none, and of several of
// one name the last one counts.
type DSN struct {
	Host     string // a name, an address, or the folder of a socket, which begins with "/"; empty: the local socket
	Port     int
	Database string // never empty
	User     string // empty: the name of the operating system's user, as libpq has it
	Password Password

	SSLMode         string        // one of libpq's six; empty: libpq's default, which is prefer
	Options         string        // for the server's command line, such as "-c statement_timeout=5s"
	ConnectTimeout  time.Duration // whole seconds; 0: none was given
	ApplicationName string

	otherSecret bool
}

// makeURL is the expression of SQLAlchemy's _parse_rfc1738_args. The password reaches to the last "@" of the line. What
// follows a line break behind it is not looked at. Go reads it as Python does: the first alternative that fits, greedily.
var makeURL = regexp.MustCompile(`\A(?P<name>[\w\+]+)://` +
	`(?:(?P<username>[^:/]*)(?::(?P<password>.*))?@)?` +
	`(?:(?:\[(?P<ipv6host>[^/]+)\]|(?P<ipv4host>[^/:]+))?(?::(?P<port>[^/]*))?)?` +
	`(?:/(?P<database>.*))?`)

// Parse reads a DSN. Its errors are [*Error].
//
// It refuses three things that SQLAlchemy takes, and that are slips: another database than PostgreSQL, no database at
// all (libpq goes to the one that is called as the user), and an "@" that ends no user and password. The last is the
// sign of a "/" in the name of the user, which makes the password a part of the database's name.
func Parse(text string) (DSN, error) {
	found := makeURL.FindStringSubmatchIndex(text)
	if found == nil {
		return DSN{}, &Error{"is no address of a database", "write " + Form}
	}
	part := func(name string) (value string, there bool) {
		at := 2 * makeURL.SubexpIndex(name)
		if found[at] < 0 {
			return "", false
		}
		return text[found[at]:found[at+1]], true
	}
	if name, _ := part("name"); !slices.Contains([]string{"postgres", "postgresql", "postgresql+psycopg2"}, name) {
		return DSN{}, &Error{"does not begin with postgres://, postgresql:// or postgresql+psycopg2://", "write " + Form}
	}
	username, _ := part("username")
	password, _ := part("password")
	userEnd := max(found[2*makeURL.SubexpIndex("username")+1], found[2*makeURL.SubexpIndex("password")+1]) // -1: neither
	if strings.LastIndexByte(text, '@') != userEnd {
		return DSN{}, &Error{
			`has an "@" that does not end user and password`,
			`in the name of the user write %3A for ":" and %2F for "/", behind the "?" write %40 for "@", and all in one line`,
		}
	}
	d := DSN{Port: DefaultPort, User: unquote(username), Password: newPassword(unquote(password), password)}
	ipv6, _ := part("ipv6host")
	ipv4, _ := part("ipv4host")
	d.Host = ipv6 + ipv4
	if port, there := part("port"); there {
		// SQLAlchemy makes no difference between 0 and none.
		if n, ok := number(port); !ok || n < 0 || n > maxPort {
			return DSN{}, badPort()
		} else if n > 0 {
			d.Port = n
		}
	}
	database, _ := part("database")
	database, query, _ := strings.Cut(database, "?")
	query, _, _ = strings.Cut(query, "?") // split("?", 2): a third part is not looked at
	d.Database = database
	if err := d.heed(query); err != nil {
		return DSN{}, err
	}
	if err := d.check(); err != nil {
		return DSN{}, err
	}
	return d, nil
}

// heed takes in the options behind the "?".
func (d *DSN) heed(query string) error {
	for name, value := range options(query) {
		switch name {
		case "host":
			d.Host = value
		case "port":
			n, ok := number(value)
			if !ok || n < 1 || n > maxPort {
				return badPort()
			}
			d.Port = n
		case "user":
			d.User = value
		case "password":
			d.Password = newPassword(value, value)
		case "dbname", "database":
			d.Database = value
		case "sslmode":
			if !slices.Contains(sslModes, value) {
				return &Error{"has an sslmode that PostgreSQL does not know", "write one of " + strings.Join(sslModes, ", ")}
			}
			d.SSLMode = value
		case "options":
			d.Options = value
		case "connect_timeout":
			n, ok := number(value)
			if !ok || n > maxTimeout {
				return &Error{"has a connect_timeout that is no number of seconds", "write connect_timeout=5, or leave it out"}
			}
			d.ConnectTimeout = time.Duration(max(n, 0)) * time.Second // a negative one is libpq's 0
		case "application_name":
			d.ApplicationName = value
		default:
			// sslpassword is of no use here, and is not for a command line either.
			d.otherSecret = d.otherSecret || strings.Contains(strings.ToLower(name), "pass")
		}
	}
	return nil
}

// check says what is wrong with the DSN as a whole.
func (d DSN) check() error {
	if d.Database == "" {
		return &Error{"names no database", "write the name of the database behind the host: " + Form}
	}
	// Whoever writes these to the server ends them with a zero byte: what follows one would be other settings.
	for _, text := range []string{d.Host, d.Database, d.User, d.Password.Reveal(), d.Options, d.ApplicationName} {
		if strings.Contains(text, "\x00") {
			return &Error{"holds a zero byte", "write %25 for a percent sign in front of two zeros"}
		}
	}
	return nil
}

// maxPort is the last port of TCP. maxTimeout, in seconds, is far beyond what anybody waits.
const maxPort, maxTimeout = 65535, 1 << 20

// sslModes are libpq's.
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

func badPort() error {
	return &Error{
		"has a port that is not a whole number from 1 to 65535",
		"write " + Form + ", or leave out :PORT; a password has an @ behind it",
	}
}

// HoldsSecret reports whether the text that was parsed held a password, even one that is of no use.
func (d DSN) HoldsSecret() bool { return !d.Password.IsZero() || d.otherSecret }

// Keywords are the DSN's host, port, user, password, database and sslmode as libpq's keywords and values, each followed by a
// blank: another reader's own way with an address is not GroupServer's. They hold the password as it is.
func (d DSN) Keywords() string {
	var b strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, word := range [][2]string{
		{"host", d.Host},
		{"port", strconv.Itoa(d.Port)},
		{"user", d.User},
		{"password", d.Password.Reveal()},
		{"dbname", d.Database},
		{"sslmode", d.SSLMode},
	} {
		if word[1] != "" {
			b.WriteString(word[0] + "='" + quote.Replace(word[1]) + "' ")
		}
	}
	return b.String()
}

// String names the database without user and password: HOST:PORT/DATABASE. The host of a local socket is [local], as in
// psql.
func (d DSN) String() string {
	host := d.Host
	switch {
	case host == "":
		host = "[local]"
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return printable.Line(host + ":" + strconv.Itoa(d.Port) + "/" + d.Database)
}

// An Error says what is wrong with a DSN. It holds nothing of the text.
type Error struct {
	Problem string // goes on where the DSN's source ends
	Advice  string // what to write
}

func (e *Error) Error() string { return "the DSN " + e.Problem }

// Hint says what to write.
func (e *Error) Hint() string { return e.Advice }
