package printable_test

import (
	"testing"

	"github.com/groupserver/senddigest/internal/printable"
)

func TestNamesAreTheFirstTenAndHowManyMore(t *testing.T) {
	letters := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
	for _, tt := range []struct {
		names []string
		of    int
		want  string
	}{
		{letters[:2], 2, "a, b"},
		{letters[:2], 5, "a, b, and 3 more"},
		{letters[:10], 10, "a, b, c, d, e, f, g, h, i, j"},
		{letters, 12, "a, b, c, d, e, f, g, h, i, j, and 2 more"},
		{[]string{"a\nb"}, 1, `a\nb`},
		{nil, 0, ""},
	} {
		if got := printable.Names(tt.names, tt.of); got != tt.want {
			t.Errorf("%v of %d: got %q, want %q", tt.names, tt.of, got, tt.want)
		}
	}
}
