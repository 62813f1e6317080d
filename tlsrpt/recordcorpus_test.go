package tlsrpt

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// otherwise are the records of the corpus that we judge in another way than its
// labels propose: how many URIs are used, and what is noted.
var otherwise = map[string]struct {
	uris     int
	problems string
}{
	// The labels go by the grammar of a URI alone. A report cannot go there:
	"rpt-020": {0, "bad-mailbox"},  // a domain without a dot
	"rpt-044": {0, "bad-endpoint"}, // a host without one
	"rpt-079": {0, "bad-endpoint"}, // https://127.0.0.1/ (RPT-22)
	// Port 12345 is no place to aim strangers at (R18); the mailboxes beside it
	// are good.
	"rpt-084": {2, "bad-endpoint"},
	"rpt-085": {2, "bad-endpoint"},
	"rpt-086": {2, "bad-endpoint"},
	"rpt-087": {1, "bad-endpoint"},
	"rpt-088": {2, "bad-endpoint"},
	// One bad URI does not cost the others (RPT-12): a comma at the end.
	"rpt-033": {2, "bad-uri"},
	// Three times the same mailbox gets one report.
	"rpt-094": {1, "duplicate-uri duplicate-uri"},
}

func TestCorpusRecords(t *testing.T) {
	dir := os.Getenv("STRICTMX_CORPUS")
	if dir == "" {
		t.Skip("set STRICTMX_CORPUS to a folder with tlsrpt-txt/tlsrpt-txt.jsonl")
	}
	f, err := os.Open(filepath.Join(dir, "tlsrpt-txt", "tlsrpt-txt.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count := map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e struct {
			ID, Expect, Why string
			TXT             [][]string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		count[e.Expect]++
		z := &zone{txt: map[string][]string{}}
		for _, parts := range e.TXT {
			z.txt["_smtp._tls.x.test"] = append(z.txt["_smtp._tls.x.test"], strings.Join(parts, "")) // RPT-06
		}
		r, err := Lookup(t.Context(), z, "x.test")
		if err != nil {
			t.Fatal(err)
		}
		problems := reasonsOf(r)
		want, listed := otherwise[e.ID]
		var ok bool
		switch {
		case listed:
			ok = len(r.RUA) == want.uris && problems == want.problems
		case e.Expect == "valid", e.Expect == "valid-but-ambiguous": // alone, we take it (AMB-01)
			ok = len(r.RUA) > 0 && problems == ""
		case e.Expect == "invalid":
			ok = len(r.RUA) == 0 && problems != ""
		case e.Expect == "discard":
			ok = len(r.RUA) == 0 && problems == ReasonTLSRPTMissing
		}
		if !ok {
			t.Errorf("%s is %s (%s): %q: %q, problems %q", e.ID, e.Expect, e.Why, e.TXT, r.RUA, problems)
		}
	}
	if err := lines.Err(); err != nil || count["valid"] == 0 || count["invalid"] == 0 || count["discard"] == 0 {
		t.Errorf("the corpus is empty: %v, %v", count, err)
	}
}
