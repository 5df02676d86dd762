package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/config"
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
		if _, ok := errors.AsType[*config.Error](inFile); !ok || strings.Contains(inFile.Error(), secret) {
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
