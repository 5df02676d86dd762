//go:build packaging

package contrib_test

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestDebianOrdersTheVersionsAsGitDoes(t *testing.T) {
	t.Parallel()
	older := ""
	for version, want := range map[string]string{
		"1a2b3c4": "0~20260102030405.1a2b3c4", "1234567-dirty": "0~20260102030405.1234567+dirty", "devel": "0~20260102030405.devel",
		"v1.2.0-rc.1": "1.2.0~rc.1", "v1.2.0-rc.1-3-g1a2b3c4": "1.2.0~rc.1+3.g1a2b3c4",
		"v1.2.0": "1.2.0", "v1.2.0-4-g1a2b3c4-dirty": "1.2.0+4.g1a2b3c4+dirty",
	} {
		// Kiritimati's clock shows another day.
		if got := strings.TrimSpace(runIn(t, "..", []string{"TZ=Pacific/Kiritimati"}, "make", "--no-print-directory", "-s", "deb-version", "VERSION="+version, "SOURCE_DATE_EPOCH=1767323045")); got != want {
			t.Errorf("%s: got %s, want %s", version, got, want)
		}
	}
	for _, newer := range []string{
		"0~20260102030405.fffffff", "0~20260102030406.0000000", "1.2.0~rc.1", "1.2.0~rc.1+3.g1a2b3c4", "1.2.0", "1.2.0+4.g1a2b3c4", "1.2.1",
	} {
		if older != "" {
			run(t, "dpkg", "--compare-versions", older, "lt", newer)
		}
		older = newer
	}
}

// The image itself needs a registry to begin from. What can be known without one is looked at here.
func TestTheContainerfileIsSound(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^#.*\n|\\\n`).ReplaceAllString(string(text), "")
	stages, from, copied, user, entry := map[string]bool{}, "", map[string]bool{}, "", []string(nil)
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch rest := words[1:]; words[0] {
		case "FROM":
			from, copied = rest[0], map[string]bool{}
			if len(rest) == 3 {
				stages[rest[2]] = true
			}
			if image, version, ok := strings.Cut(path.Base(from), ":"); ok && (image != "golang" || !strings.Contains(string(module), "\ngo "+version+".")) {
				t.Errorf("%s is not the Go of go.mod", from)
			}
		case "COPY":
			other := false
			for strings.HasPrefix(rest[0], "--") {
				if stage, ok := strings.CutPrefix(rest[0], "--from="); ok {
					other = true
					if !stages[stage] {
						t.Errorf("there is no stage %s", stage)
					}
				}
				rest = rest[1:]
			}
			to := rest[len(rest)-1]
			copied[to] = true
			for _, source := range rest[:len(rest)-1] {
				if _, err := os.Stat(filepath.Join("..", source)); err != nil && !other {
					t.Error(err)
				}
			}
		case "USER":
			user = rest[0]
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(strings.Join(rest, " ")), &entry); err != nil {
				t.Errorf("ENTRYPOINT: %v", err)
			}
		case "ARG", "ENV", "RUN", "VOLUME", "WORKDIR":
		default:
			t.Errorf("%s is no instruction", words[0])
		}
	}
	if from != "scratch" || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) || len(entry) != 1 || !copied[entry[0]] {
		t.Errorf("the image is from %s, for user %q, and begins with %q", from, user, entry)
	}
	if !copied["/etc/ssl/certs/ca-certificates.crt"] {
		t.Error("the image trusts nobody")
	}
}
