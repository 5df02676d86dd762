package dsn_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/dsn"
)

func parse(t testing.TB, text string) dsn.DSN {
	t.Helper()
	d, err := dsn.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// shown is all that can be printed of a value.
func shown(value any) string {
	var all bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%b", "%o", "%c", "%U", "%e", "%t", "%p", "%T", "%w", "%10.3s"} {
		fmt.Fprintf(&all, verb+"\n", value)
	}
	fmt.Fprintln(&all, value)
	asJSON, _ := json.Marshal(value)
	asXML, _ := xml.Marshal(value)
	fmt.Fprintf(&all, "%s\n%s\n", asJSON, asXML)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&all, nil), slog.NewJSONHandler(&all, nil)} {
		slog.New(handler).With("with", value).Info("message", "value", value, slog.Group("group", "value", value))
	}
	return all.String()
}

func TestThePasswordIsPrintedByNothing(t *testing.T) {
	t.Parallel()
	const secret = "Sesame42"
	d := parse(t, "postgres://u:Sesame42@h/gs")
	type hidden struct {
		dsn      dsn.DSN
		password dsn.Password
	}
	for name, value := range map[string]any{
		"password": d.Password, "pointer to it": &d.Password, "DSN": d, "pointer to that": &d, "hidden": hidden{d, d.Password},
		"pointer to hidden": &hidden{d, d.Password}, "slice": []dsn.Password{d.Password}, "slice of DSNs": []dsn.DSN{d},
		"map": map[string]dsn.DSN{"d": d}, "interface": []any{d, d.Password, hidden{d, d.Password}},
	} {
		text := strings.ToLower(shown(value))
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("% x", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")} {
			if strings.Contains(text, strings.ToLower(form)) {
				t.Errorf("%s: %s is in %s", name, form, text)
			}
		}
	}
	for _, text := range []string{fmt.Sprint(d.Password), d.Password.String(), d.Password.GoString(), fmt.Sprintf("%q", d.Password)} {
		if text != "[password]" {
			t.Errorf("printed as %s, want [password]", text)
		}
	}
	if text, err := json.Marshal(d.Password); err != nil || string(text) != `"[password]"` {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestNoPasswordIsTheZeroOne(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"postgres://u@h/gs", "postgres://u:@h/gs", "postgres:///gs?password="} {
		if p := parse(t, text).Password; p != (dsn.Password{}) || !p.IsZero() || p.Reveal() != "" || p.Scrub("a text") != "a text" {
			t.Errorf("%s: %v is not the zero password", text, p)
		}
	}
}

func TestScrubFindsThePasswordAsItIsAndAsItWasWritten(t *testing.T) {
	t.Parallel()
	p := parse(t, "postgres://u:p%40\"s\ts@h/gs").Password
	said := fmt.Sprintf("cannot connect: %s, %s, %s", p.Reveal(), "p%40\"s\ts", strconv.Quote(p.Reveal()))
	if got, want := p.Scrub(said), `cannot connect: [password], [password], "[password]"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
