package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/tlsrpt"
)

// markup returns the tags of a page, in order and with their attributes, and
// its text. The page is well-formed XML, too, so that a parser that forgives
// nothing can read it; browser_test.go asks one that forgives all.
func markup(t *testing.T, page string) (tags []xml.Token, words string) {
	t.Helper()
	var b strings.Builder
	d := xml.NewDecoder(strings.NewReader(page))
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return tags, strings.Join(strings.Fields(b.String()), " ")
		case err != nil:
			t.Fatalf("the page is not well-formed: %v", err)
		}
		if words, ok := token.(xml.CharData); ok {
			b.Write(words)
			continue
		}
		b.WriteByte(' ')
		tags = append(tags, xml.CopyToken(token))
	}
}

// The attributes that a page may have. All that reports choose is in the
// numbers of id, href and coordinates.
var attributes = map[string]string{
	"html": "lang", "meta": "charset http-equiv content name", "p": "class", "dl": "class", "dd": "class", "ol": "class",
	"section": "id", "div": "class", "span": "class", "th": "scope class", "td": "class", "table": "class", "a": "href",
	"svg": "class viewBox role aria-labelledby aria-hidden preserveAspectRatio", "title": "id", "desc": "id",
	"line": "class x1 x2 y1 y2", "rect": "class x y width height", "text": "x y dy text-anchor",
}

// plainTags have none.
const plainTags = " head style body header h1 h2 h3 main footer li strong b i code bdi thead tbody tr dt details summary g "

func TestAHostileReportAddsNothingToThePage(t *testing.T) { // R21
	// "z" is what is left of hostile words: the same report, but harmless.
	want, _ := markup(t, throughJSON(t, "z", "-html", "-"))
	for _, s := range hostile("http://127.0.0.1/") {
		for _, page := range []string{html(t, added(everywhere(s))), throughJSON(t, s, "-html", "-")} {
			got, words := markup(t, page)
			if !slices.EqualFunc(got, want, func(a, b xml.Token) bool { return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) }) {
				t.Errorf("%.60q changes the tags of the page", s)
			}
			checkPlain(t, s, page)
			if len(page) > 3*len(html(t, added(everywhere("z"))))+100*maxName {
				t.Errorf("%.60q makes %d octets", s, len(page))
			}
			if !strings.Contains(words, "Names, hosts and counts are the words of those who reported") {
				t.Errorf("%.60q ends the page early", s)
			}
		}
	}
}

func TestThePageHasNoTagOfOthers(t *testing.T) { // R21
	number := regexp.MustCompile(`^-?[0-9]+(\.[0-9])?$`)
	id := regexp.MustCompile(`^#?d[0-9]+(p[0-9]+[ts]?)?$`)
	for _, r := range []*result{added(sample()...), added(allHostile("http://127.0.0.1/")...), added(crowd()...), added()} {
		tags, _ := markup(t, html(t, r))
		for _, token := range tags {
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			allowed, known := attributes[e.Name.Local]
			if !known && !strings.Contains(plainTags, " "+e.Name.Local+" ") {
				t.Errorf("element %s", e.Name.Local)
			}
			for _, a := range e.Attr {
				switch a.Name.Local {
				case "x", "y", "x1", "x2", "y1", "y2", "width", "height":
					ok = number.MatchString(a.Value)
				case "id", "href":
					ok = id.MatchString(a.Value)
				case "class":
					ok = regexp.MustCompile(`^[a-z ]+$`).MatchString(a.Value)
				}
				if !ok || !slices.Contains(strings.Fields(allowed), a.Name.Local) {
					t.Errorf("%s has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
				ok = true
			}
		}
	}
}

func TestThePageForbidsAllButItsOwnStyle(t *testing.T) { // R21
	page := html(t, added(sample()...))
	policy := `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>`
	at := strings.Index(page, policy)
	if at < 0 || at > strings.Index(page, "<title>") || at > strings.Index(page, "<style>") {
		t.Error("the policy is missing, or comes too late")
	}
	for _, word := range []string{"<script", "http:", "https:", "//", "url(", "@import", "src=", "style="} {
		if strings.Contains(page, word) {
			t.Errorf("the page has %q", word)
		}
	}
}

func TestThePageSaysWhatWasReported(t *testing.T) {
	_, words := markup(t, html(t, added(sample()...)))
	for _, want := range []string{
		"TLS reports: example.com and example.net, 2 to 15 March 2026", "70 reports by 3 organisations.", "Sessions 26,442", "Good 94.0 %", "Bad 1,580",
		"Renew the certificate, and reload the server: it still serves the old one. certificate-expired : 1,293 sessions at mx2.example.com , mail to example.com",
		"sts, mode enforce 14,377 good 1,353 bad 91.3 %", "Sessions by day: example.com, sts, mode enforce",
		"14 days: 14,377 good, 1,353 bad. Bad ones in 4 of them, most in 2026-03-10: 454.",
		"2026-03-10: 1,064 good, 454 bad", "2026-03-10 1,064 454 70.0 %",
		"certificate-expired mx2.example.com by Alder Mail , Birch & Post Ltd , Cedar Webmail 1,293",
		"sts-policy-fetch-error http-503 no host named by Alder Mail , Birch & Post Ltd 33",
		"Birch & Post Ltd postmaster@birch.example 28 reports, 2 to 15 March 2026 7,501 442",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if t.Failed() {
		t.Log(words)
	}
}

func TestThePageIsBounded(t *testing.T) {
	r := added(crowd()...)
	page := html(t, r)
	_, words := markup(t, page)
	for _, want := range []string{
		"132 domains", "and 92 more domains, ", "and 4 more policies, 40 sessions", "and 28 more kinds, ", "and 38 more organisations, ",
		"Sessions by week: example.com", "9,007,199,254,740,991",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if n := strings.Count(page, "<rect"); n > pageDomains*pagePolicies*2*pageSlots+2*pageDomains*pageFailures {
		t.Errorf("%d bars", n)
	}
	if len(page) > 1<<20 {
		t.Errorf("%d octets", len(page))
	}
}

func TestBadSessionsThatNobodyExplains(t *testing.T) {
	r := added(plain("alder", "a.example", 0, 3, 1))
	_, words := markup(t, html(t, r))
	for _, out := range []string{words, tables(t, r)} {
		if !strings.Contains(out, "Ask who reported bad sessions why they were") || strings.Contains(out, "no failure was reported") {
			t.Error(out)
		}
	}
}

func TestPagesOfNothingOfOneDayAndOfNoDate(t *testing.T) {
	_, words := markup(t, html(t, added()))
	if !strings.Contains(words, "0 domains") || !strings.Contains(words, "no dates") {
		t.Error(words)
	}
	page := html(t, added(plain("alder", "a.example", 0, 3, 0)))
	if strings.Count(page, `class="good"`) != 1 || strings.Contains(page, `<rect class="fail"`) || strings.Contains(page, "<h2>Domains") {
		t.Error(page)
	}
	when := plain("alder", "a.example", 1, 4, 1)
	when.Range = tlsrpt.DateRange{}
	_, words = markup(t, html(t, added(when)))
	if !strings.Contains(words, "No sessions with a date.") || !strings.Contains(words, "no date 4 1 80.0 %") {
		t.Error(words)
	}
}
