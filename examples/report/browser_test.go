package main

import (
	"fmt"
	"image"
	"image/color"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/strictmx/strictmx/tlsrpt"
)

var looks = []look{ // never changed
	{"phone", 360, 740, "screen", "light"},
	{"desktop", 1280, 900, "screen", "light"},
	{"paper", 680, 1000, "print", "light"}, // A4 without its margins
	{"phone-dark", 360, 740, "screen", "dark"},
	{"desktop-dark", 1280, 900, "screen", "dark"},
}

// measures is what the page looks like, as far as a machine can say.
const measures = `(() => {
	const out = {wide: document.documentElement.scrollWidth, outside: [], overlaps: [], cut: [], elements: {}, attributes: {}};
	for (const e of document.querySelectorAll('*')) {
		out.elements[e.localName] = 1;
		for (const a of e.attributes) out.attributes[a.name] = 1;
	}
	for (const e of document.querySelectorAll('body *')) {
		const box = e.getBoundingClientRect();
		if (box.width && (box.right > innerWidth + 0.5 || box.left < -0.5)) out.outside.push(e.localName + ' ' + box.left + ' to ' + box.right);
	}
	for (const svg of document.querySelectorAll('svg[role=img]')) {
		const frame = svg.getBoundingClientRect();
		const texts = [...svg.querySelectorAll('text')].map(e => ({text: e.textContent, box: e.getBoundingClientRect()}));
		for (const e of svg.querySelectorAll('text, rect, line')) {
			const box = e.getBoundingClientRect();
			if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
				out.cut.push(e.localName + ' ' + e.textContent);
		}
		texts.forEach((a, i) => texts.slice(i + 1).forEach(b => {
			if (a.box.left < b.box.right && b.box.left < a.box.right && a.box.top < b.box.bottom && b.box.top < a.box.bottom)
				out.overlaps.push(a.text + ' and ' + b.text);
		}));
	}
	const style = (selector, property) => { const e = document.querySelector(selector); return e ? getComputedStyle(e)[property] : ''; };
	out.paper = style('body', 'backgroundColor');
	out.ink = style('body', 'color');
	out.good = style('rect.good', 'fill');
	out.bad = style('rect.fail', 'fill');
	out.unbroken = ['.cell', '.todo li', 'tr', 'svg'].every(s => !document.querySelector(s) || style(s, 'breakInside') === 'avoid');
	out.text = document.body.innerText;
	return out;
})()`

type measured struct {
	Wide                   float64
	Outside, Overlaps, Cut []string
	Elements, Attributes   map[string]int
	Paper, Ink, Good, Bad  string
	Unbroken               bool
	Text                   string
}

func TestThePageInABrowser(t *testing.T) {
	b := newBrowser(t)
	asked := new(atomic.Int64) // requests for what hostile reports name
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()

	for _, c := range []struct {
		name    string
		reports []*tlsrpt.Report
		looks   []look
		tall    bool
	}{
		{"sample", sample(), looks, false},
		{"hostile", allHostile(server.URL), looks[:3], true},
		{"crowd", crowd(), looks[:3], true},
		{"world", world(), looks[:2], false},
		{"one", []*tlsrpt.Report{plain("alder", "example.com", 0, 3, 1)}, looks[:2], false},
		{"nothing", nil, looks[:2], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "page.html")
			write(t, file, []byte(html(t, added(c.reports...))))
			for _, l := range c.looks {
				t.Run(l.name, func(t *testing.T) {
					b.forget()
					b.open(t, file, l)
					var m measured
					b.evaluate(t, measures, &m)
					m.check(t, l)
					if !c.tall || os.Getenv("STRICTMX_SHOTS") != "" { // a picture of many metres takes its time
						checkPicture(t, b.screenshot(t, c.name+"-"+l.name), l, m)
					}
					if c.name == "sample" && !strings.Contains(m.Text, "1,293") {
						t.Errorf("our numbers are missing in %q", m.Text)
					}
					for _, complaint := range b.complaints(file) {
						t.Error(complaint)
					}
				})
			}
			if !c.tall || os.Getenv("STRICTMX_SHOTS") != "" {
				checkPDF(t, b.paper(t, c.name))
			}
		})
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the pages made %d requests", n) // R21
	}
}

// check is what must hold of every page.
func (m measured) check(t *testing.T, l look) {
	t.Helper()
	if m.Wide > float64(l.width) || len(m.Outside) > 0 {
		t.Errorf("the page is %g wide; outside of %d: %.300q", m.Wide, l.width, m.Outside)
	}
	if len(m.Overlaps) > 0 || len(m.Cut) > 0 {
		t.Errorf("in the charts: on one another %.300q, cut %.300q", m.Overlaps, m.Cut)
	}
	for e := range m.Elements { // R21
		if _, known := attributes[e]; !known && !strings.Contains(plainTags, " "+e+" ") {
			t.Errorf("element %s", e)
		}
	}
	all := " "
	for _, of := range attributes {
		all += of + " "
	}
	for a := range m.Attributes { // R21
		if !strings.Contains(all, " "+a+" ") {
			t.Errorf("attribute %s", a)
		}
	}
	if l.media == "print" && (m.Paper != "rgb(255, 255, 255)" || m.Ink != "rgb(0, 0, 0)" || !m.Unbroken) {
		t.Errorf("on paper: %s on %s, unbroken %v", m.Ink, m.Paper, m.Unbroken)
	}
}

// checkPicture finds the colours that the page says it has: the paper in a
// corner, and bars, good and bad.
func checkPicture(t *testing.T, picture image.Image, l look, m measured) {
	t.Helper()
	size := picture.Bounds()
	if size.Dx() != l.width*l.scale() {
		t.Fatalf("the picture is %d wide, want %d", size.Dx(), l.width*l.scale())
	}
	seen := make(map[color.Color]int)
	for y := size.Min.Y; y < size.Max.Y; y += 3 {
		for x := size.Min.X; x < size.Max.X; x += 3 {
			seen[picture.At(x, y)]++
		}
	}
	for name, c := range map[string]string{"paper": m.Paper, "good": m.Good, "bad": m.Bad} {
		if n := seen[rgb(c)]; c != "" && n < 10 {
			t.Errorf("%s, %s: seen %d times", name, c, n)
		}
	}
	if dark := luma(m.Paper) < 60; dark != (l.scheme == "dark" && l.media == "screen") {
		t.Errorf("%s: the paper is %s", l.scheme, m.Paper)
	}
	if contrast := luma(m.Ink) - luma(m.Paper); contrast*contrast < 150*150 {
		t.Errorf("%s on %s is hard to read", m.Ink, m.Paper)
	}
}

// rgb reads a colour as browsers write it.
func rgb(s string) color.RGBA {
	c := color.RGBA{A: 255}
	fmt.Sscanf(s, "rgb(%d, %d, %d)", &c.R, &c.G, &c.B)
	return c
}

func luma(s string) float64 {
	c := rgb(s)
	return 0.2126*float64(c.R) + 0.7152*float64(c.G) + 0.0722*float64(c.B)
}

func checkPDF(t *testing.T, pdf []byte) {
	t.Helper()
	if len(pdf) < 1000 || string(pdf[:5]) != "%PDF-" {
		t.Errorf("no PDF: %d octets, %.20q", len(pdf), pdf)
	}
}

// A test that finds nothing must be able to: the same browser does tell of a
// page that asks for pictures, runs scripts, and is too wide.
func TestTheBrowserTellsOfBadPages(t *testing.T) {
	b := newBrowser(t)
	asked := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	dir := t.TempDir()
	for name, c := range map[string]struct{ page, complaint string }{
		"image":   {`<!DOCTYPE html><meta name="viewport" content="width=device-width"/><body style="width:900px">x<img src="` + server.URL + `">`, "request for " + server.URL},
		"script":  {`<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="default-src 'none'"/><script>1</script>`, "Content Security Policy"},
		"console": {`<!DOCTYPE html><script>console.error("oh")</script>`, "Runtime.consoleAPICalled"},
		"throws":  {`<!DOCTYPE html><script>throw "oh"</script>`, "Runtime.exceptionThrown"},
	} {
		file := filepath.Join(dir, name+".html")
		write(t, file, []byte(c.page))
		b.forget()
		b.open(t, file, looks[0])
		if all := strings.Join(b.complaints(file), "\n"); !strings.Contains(all, c.complaint) {
			t.Errorf("%s: no %q in %q", name, c.complaint, all)
		}
		var m measured
		if b.evaluate(t, measures, &m); name == "image" && m.Wide < 900 {
			t.Errorf("900 pixels are seen as %g", m.Wide)
		}
	}
	if asked.Load() == 0 {
		t.Error("a request did not arrive")
	}
	if os.Getenv("STRICTMX_SHOTS") == "" {
		t.Log("to look at the pictures, name a directory in STRICTMX_SHOTS")
	}
}
