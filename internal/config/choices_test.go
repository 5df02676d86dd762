package config_test

import (
	"testing"

	"github.com/groupserver/senddigest/internal/config"
)

func TestAnOptionTakesEachOfTheValuesThatItNames(t *testing.T) {
	t.Chdir(t.TempDir())
	named := 0
	for _, f := range config.Senddigest().Flags {
		for _, value := range f.Values {
			named++
			settings(t, given{args: map[string][]string{f.Name: {value}}})
		}
		if f.Values == nil {
			continue
		}
		if _, err := resolve(t, given{args: map[string][]string{f.Name: {f.Values[0] + "x"}}}); err == nil {
			t.Errorf("--%s takes another value", f.Name)
		}
	}
	if named < 10 {
		t.Errorf("only %d values are named", named)
	}
}
