package browser

import (
	_ "embed" // axe
	"fmt"
	"slices"
	"strings"
	"time"
)

// axe is axe-core 4.14.1 by Deque Systems, Inc., a judge of what a page is to people who do not see, hear or point as others
// do. It is under the Mozilla Public License 2.0, see axe.LICENSE, is unchanged, and is in no program.
//
//go:embed axe.min.js
var axe string

// watchTasks notes how long the page kept the browser from drawing, from 50 ms on.
const watchTasks = `window.longTasks = [];
new PerformanceObserver((list) => { for (const e of list.getEntries()) window.longTasks.push(Math.round(e.duration)); })
	.observe({type: "longtask", buffered: true});`

// LongTasks are how long, in milliseconds, the page kept the browser from drawing since this was asked last: each time from 50
// on. They include the page's own loading.
func (b *Browser) LongTasks() (tasks []int) {
	b.t.Helper()
	// Those that have just ended come with the next turn.
	b.Eval("new Promise((r) => setTimeout(() => r(window.longTasks.splice(0)), 100))", &tasks)
	return tasks
}

const (
	// longestFrame is how long, in milliseconds, a change may keep the browser from drawing. An answer within 200 ms seems to
	// come at once (web.dev, "Interaction to Next Paint").
	longestFrame = 200
	// mostChanges is how often a change is made until one is quick enough: the machine may have other work.
	mostChanges = 10
)

// Smooth tests that a change does not keep the browser from drawing for long. prepare, which may be nil, is called before each
// change, and is not judged.
func (b *Browser) Smooth(name string, prepare, change func()) {
	b.t.Helper()
	var frames []int
	for range mostChanges {
		if prepare != nil {
			prepare()
		}
		b.LongTasks()
		change()
		frames = append(frames, slices.Max(append(b.LongTasks(), 0)))
		if frames[len(frames)-1] <= longestFrame {
			b.t.Logf("%s: longest frames of %v ms", name, frames)
			return
		}
	}
	b.t.Errorf("%s: longest frames of %v ms, want one of at most %d", name, frames, longestFrame)
}

// Accessibility is what axe finds against the page as it is, by all its rules for WCAG 2.2 AA and good practice. Nothing is good.
func (b *Browser) Accessibility() (findings []string) {
	b.t.Helper()
	var there bool
	if b.Eval("typeof axe === 'object'", &there); !there {
		b.Eval(axe+"\n;0", nil)
	}
	b.Eval(`axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.flatMap((v) =>
		v.nodes.map((n) => v.id + ": " + n.html.slice(0, 120) + " " + n.failureSummary)))`, &findings)
	return findings
}

// Press presses a key, such as Tab or Enter.
func (b *Browser) Press(key string) {
	b.t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13, " ": 32}[key]
	text := map[string]string{"Enter": "\r", " ": " "}[key]
	b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": key, "windowsVirtualKeyCode": code, "text": text}, nil)
	b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}, nil)
}

// Wait waits until an element of the page, or of the page that it leads to, says something, and the page is whole: one that
// comes to be so takes the focus to what its address names.
func (b *Browser) Wait(selector, text string) {
	b.t.Helper()
	shows := fmt.Sprintf(`document.readyState === "complete" && (document.querySelector(%q)?.textContent.includes(%q) ?? false)`, selector, text)
	for end := time.Now().Add(answerTime); time.Now().Before(end); {
		var shown bool
		b.Eval(`new Promise((over) => requestAnimationFrame(() => over(`+shows+`)))`, &shown)
		if shown {
			return
		}
	}
	var says []string
	b.Eval(fmt.Sprintf(`[location.href, document.readyState, document.querySelector(%q)?.textContent ?? "", document.activeElement.outerHTML.slice(0, 200)]`, selector), &says)
	b.t.Fatalf("%s does not say %q: %q", selector, text, says)
}

// focusable are the elements that a keyboard must reach.
const focusable = `[...document.querySelectorAll("a[href], button:not(:disabled), input, select, summary, [tabindex='0']")]
	.filter((e) => e.checkVisibility() && !e.closest("[hidden]"))`

// Unreached are the elements that a person with a keyboard alone does not reach, or reaches without seeing so.
func (b *Browser) Unreached() (list []string) {
	b.t.Helper()
	b.Eval(`document.activeElement.blur(); window.scrollTo(0, 0); window.unreached = new Set(`+focusable+`); 0`, nil)
	for range b.Number(focusable+".length") + 1 {
		b.Press("Tab")
		b.Eval(`{
			const e = document.activeElement, box = e.getBoundingClientRect(), s = getComputedStyle(e);
			const seen = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && box.bottom > 0 && box.top < innerHeight;
			if (seen || e.matches("select, input") && s.outlineStyle !== "none") window.unreached.delete(e);
		}`, nil)
	}
	b.Eval(`[...window.unreached].map((e) => e.outerHTML.slice(0, 120))`, &list)
	return list
}

// Judge tests that a page is whole for everybody at these widths in pixels, in light and dark: nothing is cut off or scrolls
// sideways, axe finds nothing, and the keyboard reaches everything. A picture of each is kept under the name.
func (b *Browser) Judge(name string, widths ...int) {
	b.t.Helper()
	for _, width := range widths {
		b.Width(width)
		b.Eval(`document.activeElement.blur(); window.scrollTo(0, 0); document.querySelectorAll(".wide").forEach((e) => { e.scrollLeft = 0; })`, nil)
		for _, scheme := range []string{"light", "dark"} {
			b.Media("screen", scheme)
			at := fmt.Sprintf("%s-%d-%s", name, width, scheme)
			if got := b.Number("document.documentElement.scrollWidth"); got > width {
				var wide []string
				b.Eval(fmt.Sprintf(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > %d && !e.closest(".wide > *"))
					.map((e) => e.outerHTML.slice(0, 120))`, width), &wide)
				b.t.Errorf("%s is %d wide: %v", at, got, wide)
			}
			if found := b.Accessibility(); len(found) > 0 {
				b.t.Errorf("%s: %d findings:\n%s", at, len(found), strings.Join(found, "\n"))
			}
			b.Screenshot(at + ".png")
		}
		if list := b.Unreached(); len(list) > 0 {
			b.t.Errorf("%s-%d: a keyboard does not reach %q", name, width, list)
		}
	}
}
