package browser_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/browser"
)

// Each fault of this page is one that a judgement has to find.
const faulty = `<!DOCTYPE html><html lang="en"><title>Faulty</title>
<style>:focus { outline: 2px solid } #unseen:focus { outline: none }</style>
<main><h1>Faulty</h1><img src="data:,"><p style="color: #bbb">Faint</p>
<button id="good">Good</button><button id="unseen">Unseen</button><button id="skipped" tabindex="-1">Skipped</button></main>
<script>
	document.getElementById("good").addEventListener("click", () => {
		setTimeout(() => { for (const end = performance.now() + 300; performance.now() < end;); document.title = "over"; });
	});
</script>`

func TestWhatIsWrongWithAPageIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "faulty.html")
	if err := os.WriteFile(path, []byte(faulty), 0o600); err != nil {
		t.Fatal(err)
	}
	b := browser.Start(t)
	b.Open("file://" + path)
	for _, rule := range []string{"image-alt", "color-contrast"} {
		if found := b.Accessibility(); !slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, rule+": ") }) {
			t.Errorf("axe does not find %s: %q", rule, found)
		}
	}
	if list := b.Unreached(); len(list) != 2 || !strings.Contains(list[0], "unseen") || !strings.Contains(list[1], "skipped") {
		t.Errorf("not reached, or not seen: %q", list)
	}
	b.LongTasks()
	b.Click("#good")
	b.Wait("title", "over")
	if tasks := b.LongTasks(); len(tasks) == 0 || slices.Max(tasks) < 300 {
		t.Errorf("long tasks of %v ms, want one of 300", tasks)
	}
}
