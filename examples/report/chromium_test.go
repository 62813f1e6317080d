package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// browser is a headless Chromium, spoken to over two pipes: the DevTools
// protocol is JSON with a zero octet after each message.
type browser struct {
	in, out *os.File
	session string // of the one tab
	next    int
	replies chan message
	stderr  *lockedBuffer

	mu     sync.Mutex
	events []message // all of them, oldest first
}

type message struct {
	ID        int             `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error"`
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const (
	browserTimeout = 5 * time.Minute  // for all that one test asks of it
	replyTimeout   = 90 * time.Second // for one thing, also on a busy machine
)

// newBrowser starts Chromium, or skips the test.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	program := os.Getenv("STRICTMX_CHROMIUM")
	if program == "" {
		found, err := exec.LookPath("chromium")
		switch {
		case err == nil:
			program = found
		case os.Getenv("CI") == "true":
			t.Fatal("there is no chromium: install Debian's package, or name the program in STRICTMX_CHROMIUM")
		default:
			t.Skip("there is no chromium: install it, or name the program in STRICTMX_CHROMIUM")
		}
	}
	toRead, toUs := pipe(t)
	fromUs, toWrite := pipe(t)
	profile, err := os.MkdirTemp("", "report-chromium-*") // not t.TempDir: a late write to it fails no test
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), browserTimeout)
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--hide-scrollbars", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{fromUs, toUs} // it reads 3 and writes 4
	b := &browser{in: toWrite, out: toRead, replies: make(chan message), stderr: new(lockedBuffer)}
	cmd.Stderr = b.stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("cannot start %s: %v", program, err)
	}
	fromUs.Close()
	toUs.Close()
	go b.receive()
	t.Cleanup(func() {
		b.quit(cmd, cancel)
		_ = os.RemoveAll(profile)
	})
	b.attach(t)
	return b
}

// quit asks Chromium to end, and ends it if it does not.
func (b *browser) quit(cmd *exec.Cmd, cancel context.CancelFunc) {
	kill := time.AfterFunc(10*time.Second, func() {
		cancel()
		b.out.Close()
	})
	defer kill.Stop()
	_, _ = b.in.WriteString(`{"id":1,"method":"Browser.close"}` + "\x00")
	for range b.replies { // until it has closed its end
	}
	_ = cmd.Wait()
	cancel()
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func (b *browser) receive() {
	defer close(b.replies)
	in := bufio.NewReader(b.out)
	for {
		line, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &m) != nil {
			return
		}
		if m.ID != 0 {
			b.replies <- m
			continue
		}
		b.mu.Lock()
		b.events = append(b.events, m)
		b.mu.Unlock()
	}
}

// attach opens the tab that everything happens in, and listens to it.
func (b *browser) attach(t *testing.T) {
	t.Helper()
	var target struct{ TargetID string }
	b.call(t, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call(t, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Network", "Log", "Runtime", "Audits"} {
		b.call(t, domain+".enable", nil, nil)
	}
}

// call is one request and its reply.
func (b *browser) call(t *testing.T, method string, params map[string]any, result any) {
	t.Helper()
	b.next++
	if params == nil {
		params = map[string]any{}
	}
	request := map[string]any{"id": b.next, "method": method, "params": params}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	line, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.in.Write(append(line, 0)); err != nil {
		t.Fatalf("chromium is gone: %v\n%s", err, b.stderr)
	}
	for {
		select {
		case m, open := <-b.replies:
			switch {
			case !open:
				t.Fatalf("chromium ended at %s\n%s", method, b.stderr)
			case m.ID != b.next:
				continue
			case m.Error != nil:
				t.Fatalf("%s: %s\n%s", method, m.Error.Message, b.stderr)
			}
			if result != nil {
				if err := json.Unmarshal(m.Result, result); err != nil {
					t.Fatalf("%s: %v in %.200s", method, err, m.Result)
				}
			}
			return
		case <-time.After(replyTimeout):
			t.Fatalf("chromium does not answer %s\n%s", method, b.stderr)
		}
	}
}

// look is how a page is looked at.
type look struct {
	name          string
	width, height int
	media         string // "screen" or "print"
	scheme        string // "light" or "dark"
}

// scale is pixels to a CSS pixel: more on a phone, as phones have it.
func (l look) scale() int {
	if l.width < 500 {
		return 2
	}
	return 1
}

// open shows a file, and waits until it is there.
func (b *browser) open(t *testing.T, file string, l look) {
	t.Helper()
	b.call(t, "Emulation.setDeviceMetricsOverride",
		map[string]any{"width": l.width, "height": l.height, "deviceScaleFactor": l.scale(), "mobile": l.width < 500}, nil)
	b.call(t, "Emulation.setEmulatedMedia", map[string]any{"media": l.media,
		"features": []any{map[string]any{"name": "prefers-color-scheme", "value": l.scheme}}}, nil)
	seen := len(b.seen("Page.loadEventFired"))
	b.call(t, "Page.navigate", map[string]any{"url": (&url.URL{Scheme: "file", Path: file}).String()}, nil)
	deadline := time.Now().Add(replyTimeout)
	for len(b.seen("Page.loadEventFired")) == seen {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not load\n%s", file, b.stderr)
		}
		b.call(t, "Runtime.evaluate", map[string]any{"expression": "new Promise(r => setTimeout(r, 20))", "awaitPromise": true}, nil)
	}
}

// seen returns the parameters of all events of one kind.
func (b *browser) seen(method string) []json.RawMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []json.RawMessage
	for _, m := range b.events {
		if m.Method == method {
			all = append(all, m.Params)
		}
	}
	return all
}

// forget drops the events so far.
func (b *browser) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = nil
}

// evaluate runs a script of the test's in the page, whose own policy allows none.
func (b *browser) evaluate(t *testing.T, script string, result any) {
	t.Helper()
	var reply struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	b.call(t, "Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &reply)
	if reply.ExceptionDetails != nil {
		t.Fatal(reply.ExceptionDetails.Exception.Description)
	}
	if err := json.Unmarshal(reply.Result.Value, result); err != nil {
		t.Fatalf("%v in %.200s", err, reply.Result.Value)
	}
}

// screenshot is a picture of the whole page.
func (b *browser) screenshot(t *testing.T, name string) image.Image {
	t.Helper()
	var reply struct{ Data []byte }
	b.call(t, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true, "optimizeForSpeed": true}, &reply)
	keep(t, name+".png", reply.Data)
	picture, err := png.Decode(bytes.NewReader(reply.Data))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// paper is the page as PDF.
func (b *browser) paper(t *testing.T, name string) []byte {
	t.Helper()
	b.call(t, "Emulation.setEmulatedMedia", map[string]any{"media": "", "features": []any{}}, nil)
	var reply struct{ Data string }
	b.call(t, "Page.printToPDF", map[string]any{"preferCSSPageSize": true, "paperWidth": 8.27, "paperHeight": 11.69}, &reply)
	pdf, err := base64.StdEncoding.DecodeString(reply.Data)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, name+".pdf", pdf)
	return pdf
}

// keep writes what was seen to the directory in STRICTMX_SHOTS, to be looked at.
func keep(t *testing.T, name string, data []byte) {
	t.Helper()
	if dir := os.Getenv("STRICTMX_SHOTS"); dir != "" {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// complaints are what the browser has to say: errors, exceptions, what the
// page's own policy forbade, and all but the page itself that was asked for.
func (b *browser) complaints(file string) []string {
	var all []string
	for _, kind := range []string{"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Audits.issueAdded"} {
		for _, params := range b.seen(kind) {
			all = append(all, fmt.Sprintf("%s %.600s", kind, params))
		}
	}
	own := (&url.URL{Scheme: "file", Path: file}).String()
	for _, params := range b.seen("Network.requestWillBeSent") {
		var p struct{ Request struct{ URL string } }
		if json.Unmarshal(params, &p) != nil || p.Request.URL != own && p.Request.URL != "about:blank" {
			all = append(all, "request for "+p.Request.URL)
		}
	}
	return all
}
