package hooks

import (
	"os"
	"testing"
)

// What the judgement of a page costs where its bytes are new, as on a site whose chrome changes from page to page.
func BenchmarkReadPage(b *testing.B) {
	for _, name := range []string{"send-ok.html", "send-unknown-group.html", "send-wrong-token.html"} {
		body, err := os.ReadFile("../testdata/groupserver/" + name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("page="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				readPage(body)
			}
		})
	}
}
