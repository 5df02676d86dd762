// Package browser is headless Chromium for tests: a page as a person has it before them, and what that person does with it.
// It speaks Chromium's DevTools protocol over a pair of pipes.
//
// It is our own because all that is asked of the browser fits three hundred lines; github.com/chromedp/chromedp would bring the
// whole protocol along as generated code, to every machine that runs the tests.
package browser

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Browser is headless Chromium with one page, spoken to over a pair of pipes in its DevTools protocol: a message is
// JSON with a zero byte behind it. Nothing of it is shared between goroutines, and nothing is read unless it is waited
// for.
type Browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	pipe    *os.File // from's
	last    int      // number of the last call
	session string
	url     string // of the page
	events  []message
}

type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// answerTime is how long the browser may take for one answer on a busy machine.
const answerTime = 2 * time.Minute

// Start starts a browser that ends with the test. Without Chromium the test fails.
func Start(t *testing.T) *Browser {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no processes")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("no Chromium, in which the HTML report is looked at: scripts/needs chromium")
	}
	// Not t.TempDir: a process that ends late may still write there, and that is no failure.
	home, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	toRead, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, fromWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"--headless", "--remote-debugging-pipe", "--user-data-dir=" + home, "--no-first-run", "--disable-gpu",
		"--disable-dev-shm-usage", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-extensions", "--disable-crash-reporter", "--hide-scrollbars",
	}
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // it has none for root
	}
	var said bytes.Buffer
	cmd := exec.Command(path, append(args, "about:blank")...)
	// Killed, it leaves behind what it keeps in the folder for such.
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home)
	cmd.ExtraFiles = []*os.File{toRead, fromWrite} // 3 and 4
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = toRead.Close(), fromWrite.Close()
	b := &Browser{t: t, to: to, pipe: from, from: bufio.NewReader(from)}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it has nothing to lose
		_ = cmd.Wait()
		_, _ = to.Close(), from.Close()
		_ = os.RemoveAll(home)
		if t.Failed() {
			t.Logf("Chromium said:\n%s", &said)
		}
	})

	var target struct {
		TargetID string `json:"targetId"`
	}
	b.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.Call(domain+".enable", nil, nil)
	}
	b.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": watchTasks}, nil)
	return b
}

// read gives the next message.
func (b *Browser) read() message {
	b.t.Helper()
	_ = b.pipe.SetReadDeadline(time.Now().Add(answerTime))
	text, err := b.from.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("Chromium: %v", err)
	}
	var m message
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
		b.t.Fatalf("Chromium: %v", err)
	}
	return m
}

// Call makes a call and waits for its answer; events that come meanwhile are kept.
func (b *Browser) Call(method string, params, result any) {
	b.t.Helper()
	b.last++
	call := map[string]any{"id": b.last, "method": method}
	if params != nil {
		call["params"] = params
	}
	if b.session != "" {
		call["sessionId"] = b.session
	}
	text, err := json.Marshal(call)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("Chromium: %v", err)
	}
	for {
		m := b.read()
		if m.ID != b.last {
			b.events = append(b.events, m)
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

// Open loads a file and waits until all of it is there.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.events, b.url = nil, url
	b.Call("Page.navigate", map[string]any{"url": url}, nil)
	for {
		for _, e := range b.events {
			if e.Method == "Page.loadEventFired" {
				return
			}
		}
		b.events = append(b.events, b.read())
	}
}

// Eval gives what an expression is, in the page. A promise is waited for.
func (b *Browser) Eval(expression string, result any) {
	b.t.Helper()
	var r struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}
	b.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	if result != nil {
		if err := json.Unmarshal(r.Result.Value, result); err != nil {
			b.t.Fatalf("%s: %v", expression, err)
		}
	}
}

// Text is what an element says.
func (b *Browser) Text(selector string) string {
	b.t.Helper()
	var s string
	b.Eval(fmt.Sprintf("document.querySelector(%q).textContent", selector), &s)
	return s
}

func (b *Browser) Number(expression string) int {
	b.t.Helper()
	var n int
	b.Eval(expression, &n)
	return n
}

// Write types into an element, in the place of what stood there, as a person does.
func (b *Browser) Write(selector, text string) {
	b.t.Helper()
	b.Eval(fmt.Sprintf("{const e = document.querySelector(%q); e.focus(); e.select()}", selector), nil)
	if text == "" {
		for _, kind := range []string{"keyDown", "keyUp"} {
			b.Call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": "Delete", "code": "Delete", "windowsVirtualKeyCode": 46}, nil)
		}
		return
	}
	b.Call("Input.insertText", map[string]any{"text": text}, nil)
}

func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.Eval(fmt.Sprintf("document.querySelector(%q).click()", selector), nil)
}

// Complaints are what the page has logged, and requests what it has asked for besides itself.
func (b *Browser) Complaints() (logged, requests []string) {
	for _, e := range b.events {
		switch e.Method {
		case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
			logged = append(logged, string(e.Params))
		case "Network.requestWillBeSent":
			var p struct {
				Request struct{ URL string } `json:"request"`
			}
			if err := json.Unmarshal(e.Params, &p); err != nil {
				b.t.Fatal(err)
			}
			if u := p.Request.URL; u != b.url && !strings.HasPrefix(u, "data:") {
				requests = append(requests, u)
			}
		}
	}
	return logged, requests
}

// Media has the page shown on a screen or on paper, in light or dark.
func (b *Browser) Media(kind, scheme string) {
	b.t.Helper()
	b.Call("Emulation.setEmulatedMedia", map[string]any{
		"media": kind, "features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
}

// Width makes the window so wide.
func (b *Browser) Width(pixels int) {
	b.t.Helper()
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": false,
	}, nil)
}

// Keep keeps what a call gives, a picture or a document, as an artefact of the test.
func (b *Browser) Keep(name, method string, params map[string]any) []byte {
	b.t.Helper()
	var r struct{ Data string }
	b.Call(method, params, &r)
	data, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
	return data
}

func (b *Browser) Screenshot(name string) {
	b.t.Helper()
	b.Keep(name, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true})
}

// ScreenshotOf is a picture of one element alone.
func (b *Browser) ScreenshotOf(name, selector string) {
	b.t.Helper()
	var clip map[string]float64
	b.Eval(fmt.Sprintf("(() => {const r = document.querySelector(%q).getBoundingClientRect();"+
		"return {x: 0, y: r.y + scrollY, width: innerWidth, height: r.height, scale: 1}})()", selector), &clip)
	b.Keep(name, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true, "clip": clip})
}
