package dsn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/dsn"
)

// parts are a DSN with its password in the clear, so that one can be compared.
type parts struct {
	host     string
	port     int
	database string
	user     string
	password string
}

func partsOf(d dsn.DSN) parts {
	return parts{d.Host, d.Port, d.Database, d.User, d.Password.Reveal()}
}

// The wanted values are those of SQLAlchemy 0.9.10's expression, and of Python 2.7.18's unquote and parse_qsl.
func TestADSNIsReadAsGroupServerReadsIt(t *testing.T) {
	t.Parallel()
	local := func(password string) parts { return parts{"localhost", 5432, "gs", "gsadmin", password} }
	for _, tt := range []struct {
		promise, text string
		want          parts
	}{
		{"as the installer writes it", "postgres://gsadmin:secret@localhost:5432/gs", local("secret")},
		{"@ in the password", "postgres://gsadmin:p@ss@localhost:5432/gs", local("p@ss")},
		{"several", "postgres://gsadmin:@p@@ss@@localhost:5432/gs", local("@p@@ss@")},
		{"/", "postgres://gsadmin:p/ss@localhost:5432/gs", local("p/ss")},
		{"%", "postgres://gsadmin:p%ss@localhost:5432/gs", local("p%ss")},
		{"%%, which is one in the configuration file, and two elsewhere", "postgres://gsadmin:p%%ss@localhost:5432/gs", local("p%%ss")},
		{"#", "postgres://gsadmin:p#ss@localhost:5432/gs", local("p#ss")},
		{"?", "postgres://gsadmin:p?ss@localhost:5432/gs", local("p?ss")},
		{":", "postgres://gsadmin:p:ss@localhost:5432/gs", local("p:ss")},
		{"all of them", "postgres://gsadmin:@:/%?#[]&=;@localhost:5432/gs", local("@:/%?#[]&=;")},
		{"a whole DSN as the password", "postgres://gsadmin:postgres://a:b@c/d@localhost:5432/gs", local("postgres://a:b@c/d")},
		{"percent-encoded", "postgres://gsadmin:p%40%2fs%2Fs@localhost:5432/gs", local("p@/s/s")},
		{"a percent sign in front of what only looks encoded", "postgres://gsadmin:%zz%4%%41%@localhost:5432/gs", local("%zz%4%A%")},
		{"+ is no blank", "postgres://gsadmin:p+s s@localhost:5432/gs", local("p+s s")},
		{"outside of ASCII", "postgres://gsadmin:pässwörd@localhost:5432/gs", local("pässwörd")},
		{"outside of UTF-8", "postgres://gsadmin:p\xe4ss%E4@localhost:5432/gs", local("p\xe4ss\xe4")},
		{"no password", "postgres://gsadmin@localhost:5432/gs", local("")},
		{"an empty one", "postgres://gsadmin:@localhost:5432/gs", local("")},
		{"psycopg2 named", "postgresql+psycopg2://gsadmin:secret@localhost:5432/gs", local("secret")},
		{"the long name", "postgresql://gsadmin:secret@localhost:5432/gs", local("secret")},

		{"no user", "postgres://localhost:5432/gs", parts{"localhost", 5432, "gs", "", ""}},
		{"a password and no user", "postgres://:secret@localhost/gs", parts{"localhost", 5432, "gs", "", "secret"}},
		{"@ and : in the user", "postgres://a@b%3Ac:secret@localhost/gs", parts{"localhost", 5432, "gs", "a@b:c", "secret"}},
		{"no port", "postgres://u@localhost/gs", parts{"localhost", 5432, "gs", "u", ""}},
		{"port 0 is none", "postgres://u@localhost:0/gs", parts{"localhost", 5432, "gs", "u", ""}},
		{"another port", "postgres://u@localhost:6432/gs", parts{"localhost", 6432, "gs", "u", ""}},
		{"a port with blanks", "postgres://u@localhost: +6432 /gs", parts{"localhost", 6432, "gs", "u", ""}},
		{"an IPv6 address", "postgres://u:s[:]@[::1]:6432/gs", parts{"::1", 6432, "gs", "u", "s[:]"}},
		{"without a port", "postgres://u@[fe80::1%eth0]/gs", parts{"fe80::1%eth0", 5432, "gs", "u", ""}},
		{"no host", "postgres:///gs", parts{"", 5432, "gs", "", ""}},
		{"no host but a user", "postgres://u:secret@/gs", parts{"", 5432, "gs", "u", "secret"}},
		{"no host but a port", "postgres://u@:6432/gs", parts{"", 6432, "gs", "u", ""}},
		{"the host is not decoded", "postgres://u@%2Frun/gs", parts{"%2Frun", 5432, "gs", "u", ""}},
		{"nor is the database", "postgres://u@localhost/g%73", parts{"localhost", 5432, "g%73", "u", ""}},
		{"a database with a slash", "postgres://u@localhost/gs/", parts{"localhost", 5432, "gs/", "u", ""}},
		{"a database outside of ASCII", "postgres://u@dätenbank/grüppen", parts{"dätenbank", 5432, "grüppen", "u", ""}},
		{"what follows a line break is not looked at", "postgres://u:secret@localhost/gs\n; what is this", parts{"localhost", 5432, "gs", "u", "secret"}},

		{"a socket's folder", "postgres://u@/gs?host=/run/postgresql", parts{"/run/postgresql", 5432, "gs", "u", ""}},
		{"encoded", "postgres:///gs?host=%2Frun%2Fpostgresql&port=6432", parts{"/run/postgresql", 6432, "gs", "", ""}},
		{"options come before what is in front", "postgres://u:secret@localhost:1/gs?host=a+b&port=2;user=v&password=p%40ss%2b&dbname=other", parts{"a b", 2, "other", "v", "p@ss+"}},
		{"the last of a name counts", "postgres:///gs?host=a&host=b", parts{"b", 5432, "gs", "", ""}},
		{"an empty option is none", "postgres://h/gs?host=&port&=x&&user=", parts{"h", 5432, "gs", "", ""}},
		{"a second ? ends the options", "postgres://h/gs?port=2?host=a", parts{"h", 2, "gs", "", ""}},
		{"others are passed over", "postgres://h/gs?sslrootcert=/etc/ca.pem&charset=utf8", parts{"h", 5432, "gs", "", ""}},
		{"a database that is an option alone", "postgres:///?database=gs", parts{"", 5432, "gs", "", ""}},
	} {
		d, err := dsn.Parse(tt.text)
		if err != nil {
			t.Errorf("%s: got %v", tt.promise, err)
		} else if got := partsOf(d); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.promise, got, tt.want)
		}
	}
}

func TestOptionsThatLibpqHeedsAreKept(t *testing.T) {
	t.Parallel()
	d, err := dsn.Parse("postgres:///gs?sslmode=verify-full&options=-c%20statement_timeout%3D5s&connect_timeout=7&application_name=Group+Server&sslkey=k")
	if err != nil {
		t.Fatal(err)
	}
	want := dsn.DSN{
		Port: 5432, Database: "gs", SSLMode: "verify-full", Options: "-c statement_timeout=5s",
		ConnectTimeout: 7 * time.Second, ApplicationName: "Group Server",
	}
	if d != want {
		t.Errorf("got %#v, want %#v", d, want)
	}
	if d, err := dsn.Parse("postgres:///gs?connect_timeout=-1"); err != nil || d.ConnectTimeout != 0 {
		t.Errorf("got %v, %v, want no bound", d.ConnectTimeout, err)
	}
}

func TestWhatIsNoDSNIsRefusedWithoutAWordOfIt(t *testing.T) {
	t.Parallel()
	const secret = "S3same"
	const (
		none     = "is no address of a database"
		scheme   = "does not begin with postgres://, postgresql:// or postgresql+psycopg2://"
		at       = `has an "@" that does not end user and password`
		port     = "has a port that is not a whole number from 1 to 65535"
		database = "names no database"
	)
	for _, tt := range []struct{ text, problem string }{
		{"", none},
		{secret, none},
		{" postgres://u:S3same@h/gs", none},
		{"postgres:/u:S3same@h/gs", none},
		{"://u:S3same@h/gs", none},
		{"host=h password=S3same", none},
		{"mysql://u:S3same@h/gs", scheme},
		{"Postgres://u:S3same@h/gs", scheme},
		{"postgres+psycopg2://u:S3same@h/gs", scheme},
		{"postgresql+pg8000://u:S3same@h/gs", scheme},
		{"sqlite:///S3same", scheme},
		{"S3same://h/gs", scheme},

		{"postgres://u:S3same", port}, // an "@" forgotten: the password is where a port would be
		{"postgres://u:S3same/gs", port},
		{"postgres://u:S3same@h:/gs", port},
		{"postgres://u:S3same@h:65536/gs", port},
		{"postgres://u:S3same@h:-1/gs", port},
		{"postgres://u:S3same@h:0x10/gs", port},
		{"postgres://u:S3same@h:54_32/gs", port},
		{"postgres://u:S3same@::1/gs", port}, // an IPv6 address needs its brackets
		{"postgres://u:S3same@h/gs?port=0", port},
		{"postgres://u:S3same@h/gs?port=1,2", port},

		{"postgres://u:S3same@h", database},
		{"postgres://u:S3same@h/", database},
		{"postgres://u:S3same@h:5432/?sslmode=prefer", database},
		{"postgres://u:S3same@h?database=gs", database}, // SQLAlchemy takes all of it for the host
		{"postgres://", database},

		{"postgres://us/er:S3same@h/gs", at},
		{"postgres://us/er?:S3same&host=S3same@h/gs", at},
		{"postgres://u:1/S3same\n@h/gs", at},
		{"postgres://u@h/gs@S3same", at},
		{"postgres://h/gs?application_name=me@S3same", at},

		{"postgres://u:S3same@h/gs?sslmode=S3same", "has an sslmode that PostgreSQL does not know"},
		{"postgres://u:S3same@h/gs?connect_timeout=S3same", "has a connect_timeout that is no number of seconds"},
		{"postgres://u:S3same%00@h/gs", "holds a zero byte"},
		{"postgres://u%00:S3same@h/gs", "holds a zero byte"},
		{"postgres://u:S3same@h/gs\x00", "holds a zero byte"},
		{"postgres://u:S3same@h/gs?options=%00", "holds a zero byte"},
	} {
		d, err := dsn.Parse(tt.text)
		e, ok := errors.AsType[*dsn.Error](err)
		if !ok || d != (dsn.DSN{}) {
			t.Errorf("%q: got %v, %v, want an Error and nothing else", tt.text, d, err)
			continue
		}
		if e.Problem != tt.problem || e.Error() != "the DSN "+tt.problem || e.Hint() == "" {
			t.Errorf("%q: got %q, hint %q, want %q and a hint", tt.text, e.Error(), e.Hint(), tt.problem)
		}
		if text := fmt.Sprintf("%v %+v %#v %s", err, *e, *e, e.Hint()); strings.Contains(text, secret) {
			t.Errorf("%q: the password is in %s", tt.text, text)
		}
	}
}

func TestADatabaseIsNamedWithoutUserAndPassword(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"postgres://u:s@db.example.com/gs":               "db.example.com:5432/gs",
		"postgres://u:s@db.example.com:6432/gs":          "db.example.com:6432/gs",
		"postgres://u:s@[::1]/gs":                        "[::1]:5432/gs",
		"postgres://u:s@/gs":                             "[local]:5432/gs",
		"postgres://u:s@/gs?host=/run/postgresql&port=1": "/run/postgresql:1/gs",
		"postgres://u:s@h\n\x1b[2J/gs":                   `h\n\x1b[2J:5432/gs`,
	} {
		d, err := dsn.Parse(text)
		if err != nil || d.String() != want || fmt.Sprintf("%v %+v %s", d, d, d) != want+" "+want+" "+want {
			t.Errorf("%q: got %v, %v, want %s", text, d, err, want)
		}
	}
}

func TestWhatIsNotForACommandLineIsKnown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"postgres://u@h/gs":                    false,
		"postgres://u:@h/gs":                   false,
		"postgres:///gs?host=/run/postgresql":  false,
		"postgres://u:s@h/gs":                  true,
		"postgres://u@h/gs?password=s":         true,
		"postgres://u@h/gs?sslpassword=s":      true,
		"postgres://u@h/gs?PASSWORD=s&port=1":  true,
		"postgres://u@h/gs?sslkey=/etc/k":      false,
		"postgres://u:s@h/gs?sslmode=disable":  true,
		"postgres://u@h/gs?application_name=s": false,
	} {
		if d, err := dsn.Parse(text); err != nil || d.HoldsSecret() != want {
			t.Errorf("%s: got %t, %v, want %t", text, d.HoldsSecret(), err, want)
		}
	}
}

// Whatever stands before the last "@" and behind the first ":" is the password, or nothing is.
func FuzzParse(f *testing.F) {
	const secret = "q7Zk2mW9xT4bN8vR"
	for _, seed := range [][4]string{
		{"gsadmin", "", "", "localhost:5432/gs"},
		{"us/er", "p@", "/x", "h/gs"},
		{"us/er?", "&host=", "&x=", "h/gs"},
		{"u", "1/", "\n", "h/gs"},
		{"", "%", "%4", "[::1]:1/gs?sslmode=require&host=/run"},
		{"u:5432/gs?application_name=", "&port=", "", ""},
		{"\x00", "%00", "\xff", "h/gs?password=other@"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, user, before, after, rest string) {
		if strings.Contains(user+before+after+rest, secret) {
			return
		}
		text := "postgres://" + user + ":" + before + secret + after + "@" + rest
		d, err := dsn.Parse(text)
		if err != nil {
			e, ok := errors.AsType[*dsn.Error](err)
			if !ok || e.Problem == "" || e.Hint() == "" {
				t.Fatalf("%q: got %#v, want an Error that says what to write", text, err)
			}
			if said := fmt.Sprintf("%v %+v %#v %v", err, *e, *e, d); strings.Contains(said, secret) {
				t.Fatalf("%q: the password is in %s", text, said)
			}
			return
		}
		if said := shown(d); strings.Contains(said, secret) {
			t.Fatalf("%q: the password is in %s", text, said)
		}
		if d.Database == "" || d.Port < 1 || d.Port > 65535 || !d.HoldsSecret() {
			t.Fatalf("%q: got %#v, want a database, a port and a secret", text, d)
		}
		if !strings.Contains(d.Password.Reveal(), secret) && !strings.Contains(rest, "?") {
			t.Fatalf("%q: the password is not the password", text)
		}
	})
}
