package config_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/gsconfig"
)

func TestABadPingURLIsRefusedAndNotPrinted(t *testing.T) {
	t.Chdir(t.TempDir())
	const secret = "9f1c-secret"
	const problem = "is not the URL of a monitor's check, such as https://hc-ping.com/UUID"
	for _, value := range []string{
		"ftp://hc-ping.com/" + secret, "hc-ping.com/" + secret, "//hc-ping.com/" + secret, "https:///" + secret,
		"https://:443/" + secret, "https://hc-ping.com:port/" + secret, "https:" + secret, secret, "http://[::1/" + secret,
	} {
		_, onLine := resolve(t, given{args: map[string][]string{"ping-url": {value}}})
		_, inEnv := resolve(t, given{env: map[string]string{"SENDDIGEST_PING_URL": value}})
		for source, err := range map[string]error{"--ping-url": onLine, "SENDDIGEST_PING_URL": inEnv} {
			if want := source + " " + problem; err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %s", value, err, want)
			}
			if e, ok := errors.AsType[*config.ValueError](err); !ok || strings.Contains(fmt.Sprintf("%+v %#v", *e, *e), secret) {
				t.Errorf("%s: the value is in %#v, or it is no ValueError", value, err)
			}
		}
		_, inFile := resolve(t, given{file: "ping-url = " + value})
		if _, ok := errors.AsType[*gsconfig.Error](inFile); !ok || strings.Contains(inFile.Error(), secret) {
			t.Errorf("%s: got %v, want an Error without the value", value, inFile)
		}
	}
}

func TestAnEmptyPingURLIsRefusedOnTheCommandLineAlone(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := resolve(t, given{args: map[string][]string{"ping-url": {""}}}); err == nil {
		t.Error("no error on the command line")
	}
	if s := settings(t, given{env: map[string]string{"SENDDIGEST_PING_URL": ""}}); s.PingURL != nil {
		t.Errorf("got %v from the environment, want none", s.PingURL)
	}
}

func TestABadHeaderIsRefusedAndItsValueIsNotPrinted(t *testing.T) {
	t.Chdir(t.TempDir())
	const secret = "9f1c-secret"
	for _, value := range []string{secret, "Host:" + secret, "A:" + secret + "\x01", "Authorization:" + secret} {
		_, onLine := resolve(t, given{args: map[string][]string{"header": {"InstanceId:parks", value}}, clear: true})
		_, inEnv := resolve(t, given{env: map[string]string{"SENDDIGEST_HEADER": value}, clear: true})
		for source, err := range map[string]error{"--header": onLine, "SENDDIGEST_HEADER": inEnv} {
			e, ok := errors.AsType[*config.ValueError](err)
			if !ok || e.Source != source || strings.Contains(fmt.Sprintf("%v %+v %#v", err, *e, *e), secret) {
				t.Errorf("%s: the value is in %#v, or it is no ValueError", source, err)
			}
		}
		_, inFile := resolve(t, given{file: "header = " + value, clear: true})
		if _, ok := errors.AsType[*gsconfig.Error](inFile); !ok || strings.Contains(inFile.Error(), secret) {
			t.Errorf("%s: got %v, want an Error without the value", value, inFile)
		}
	}
	s := settings(t, given{args: map[string][]string{"header": {"Authorization: " + secret}}})
	if got := s.Header["Authorization"]; len(got) != 1 || got[0] != secret {
		t.Errorf("over https: got %v", got)
	}
}

// A header's value may hold commas, which part the values of other options.
func TestSeveralHeadersInOneValueAreOnLinesOfTheirOwn(t *testing.T) {
	t.Chdir(t.TempDir())
	want := http.Header{"InstanceId": {"parks, and more"}, "Cookie": {"a=b", "c=d"}}
	for name, g := range map[string]given{
		"environment": {env: map[string]string{"SENDDIGEST_HEADER": "InstanceId: parks, and more\nCookie:a=b\n\nCookie:c=d\n"}},
		"file":        {file: "header = InstanceId: parks, and more\n  Cookie:a=b\n  Cookie:c=d"},
	} {
		if diff := cmp.Diff(want, settings(t, g).Header); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestNothingButTheNameOfAHeaderIsShown(t *testing.T) {
	values := map[string][2]string{
		"header": {"InstanceId:9f1c-secret", "InstanceId:…"}, "ping-url": {"https://hc-ping.com/9f1c-secret", ""}, "workers": {"4", "4"},
	}
	for _, f := range config.Senddigest().Flags {
		if row, ok := values[f.Name]; ok && f.Shown(row[0]) != row[1] {
			t.Errorf("--%s: got %q, want %q", f.Name, f.Shown(row[0]), row[1])
		}
	}
}
