package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// hostile are the words of someone who wants more of a page or a terminal than
// to be read; each asks for URL, where it can.
func hostile(url string) []string {
	all := []string{
		`<script>fetch("URL")</script>`,
		`"><img src="URL" onerror="alert(1)">`,
		`'><img src='URL'>`,
		"` onload=alert(1) x=`",
		`</title></desc></svg></style><script src="URL"></script>`,
		`</code></bdi></td></table></section></main><iframe src="URL"></iframe>`,
		`--><!--<script>`,
		`]]><svg onload="fetch('URL')"/>`,
		`<style>@import "URL";</style>`,
		`;}*{background:url(URL)}/*`,
		`<link rel="stylesheet" href="URL"/>`,
		`<meta http-equiv="refresh" content="0;url=URL"/>`,
		`<base href="URL"/><form action="URL"><input autofocus/>`,
		`<a href="URL">`, `javascript:alert(1)`, `URL`, `<use href="URL#a"/>`, `<image href="URL"/>`,
		`<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><img src="URL"/></body></foreignObject>`,
		`&lt;script&gt;`, `&#60;script&#62;`, `&`, `&amp`, `<`, `{{.}}`, `{{template "page"}}`, `%s%n%!d(MISSING)`,
		"\x1b]0;owned\a", "\x1b[2J\x1b[1;1H", "\x1b[31mred", "\u009b31mred", "\u009d0;owned\u009c", "\x1bP$q\x1b\\", "\b\b\b\x7f", "a\rb\nc\u2028d\u2029e\vf\ff\u0085g",
		"\u202efdp.exe\u202c", "\u2066\u2067\u2068x\u2069", "\u200e\u200f\u061c", "\u200b\u200c\u200d\ufeff\u00ad", "\U000e0041\U000e007f", "\u115f\u3164\uffa0", "\ue000\U0010ffff",
		"\u05d0\u05d1\u05d2", "Z" + strings.Repeat("\u0335\u0336", 200), strings.Repeat("\U0001f4a9", 300), "\xff\xfe\x80", "\x00null", strings.Repeat("x", 100000), "p\u0430ypal.example",
	}
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], "URL", url) + "z" // "z": something is left
	}
	return all
}

// everywhere is a report that says s wherever a report can say anything. All
// counts differ, so that s decides about no order.
func everywhere(s string) *tlsrpt.Report {
	of := func(p tlsrpt.PolicyType, domain string, n int64) tlsrpt.PolicyResult {
		failure := tlsrpt.FailureDetail{Type: tlsrpt.ResultType(s), MXHost: s, HELO: s, Info: s, Reason: s + " reason", Sessions: n}
		known := failure
		known.Type, known.MXHost, known.Sessions = tlsrpt.CertificateExpired, "", n+10
		return tlsrpt.PolicyResult{
			Policy:   tlsrpt.Policy{Type: p, Domain: domain, Strings: []string{"mode: " + s, s}, MXHosts: []string{s}},
			Summary:  tlsrpt.Summary{Successful: 5, Failed: n},
			Failures: []tlsrpt.FailureDetail{failure, known},
		}
	}
	return &tlsrpt.Report{
		Organization: s, Contact: s, ID: s, Domain: s, Range: tlsrpt.Day(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)),
		Policies: []tlsrpt.PolicyResult{of(tlsrpt.PolicyType(s), s, 3), of(tlsrpt.STS, s, 2), of(tlsrpt.TLSA, s+"host", 1)},
	}
}

// allHostile says each hostile string everywhere.
func allHostile(url string) []*tlsrpt.Report {
	var all []*tlsrpt.Report
	for i, s := range hostile(url) {
		r := everywhere(s)
		r.ID = fmt.Sprint(i, s)
		all = append(all, r)
	}
	return all
}
