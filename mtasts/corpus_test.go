package mtasts

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// corpus returns the folder of real-world samples, which is no part of the
// project.
func corpus(t *testing.T) string {
	dir := os.Getenv("STRICTMX_CORPUS")
	if dir == "" {
		t.Skip("set STRICTMX_CORPUS to a folder with policies/index.json and records/records.jsonl")
	}
	return dir
}

// usable are the policies that the corpus calls invalid, by the letter of the
// grammar, and that we use with problems: refusing one would mean to deliver
// its domain's mail unprotected, and nothing that was skipped could have named
// another host or mode.
var usable = map[string]string{
	// AMB-14: by the grammar a malformed mx line is an extension line, if
	// anything. The good ones hold.
	"invalid-004-mts-sts-policy.txt": "bad-mx", // "mx: Priority 5: host" beside a good one
	"invalid-036-mta-sts-policy.txt": "bad-mx", // "mx: alt*.google.com", and a comment
	"invalid-037-mta-sts-policy.txt": "bad-mx",
	// AMB-13: junk lines, here a generator's front matter.
	"invalid-013-bokagha.github.io.txt":   "bad-line",
	"invalid-015-mta-sts.txt":             "bad-line",
	"invalid-016-mta-sts.txt":             "bad-line",
	"invalid-030-ibrotnano.github.io.txt": "bad-line",
	// AMB-13: junk lines, here comments, none of them after a value.
	"invalid-017-mta-sts.txt": "bad-line",
	"invalid-018-mta-sts.txt": "bad-line",
	"invalid-019-mta-sts.txt": "bad-line",
	// AMB-13: a byte order mark before a policy in UTF-8.
	"invalid-024-mta.txt": "byte-order-mark",
	"invalid-025-mta.txt": "byte-order-mark",
	"invalid-026-mta.txt": "byte-order-mark",
	"invalid-027-mta.txt": "byte-order-mark",
	"invalid-028-mta.txt": "byte-order-mark",
}

func TestCorpusPolicies(t *testing.T) {
	dir := filepath.Join(corpus(t), "policies")
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		File, Verdict string
		Why           []string
		Mode          string
		MaxAge        json.RawMessage `json:"max_age"`
		MX            []string
	}
	if err := json.Unmarshal(index, &entries); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range entries {
		count[e.Verdict]++
		body, err := os.ReadFile(filepath.Join(dir, e.File))
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePolicy(string(body))
		if err != nil {
			if e.Verdict != "invalid" || usable[e.File] != "" {
				t.Errorf("%s is %s, and refused: %v", e.File, e.Verdict, err)
			}
			continue
		}
		checkPolicy(t, string(body), p)
		if e.Verdict == "invalid" {
			if reason := usable[e.File]; reason == "" || !strings.Contains(reasons(p), reason) {
				t.Errorf("%s is invalid (%v), and accepted with problems %v, want %q", e.File, e.Why, p.Problems, reason)
			}
			continue
		}
		var seconds int64
		if err := json.Unmarshal(e.MaxAge, &seconds); err != nil {
			t.Fatalf("%s: %v", e.File, err)
		}
		for i := range e.MX {
			e.MX[i] = strings.ToLower(e.MX[i])
		}
		if string(p.Mode) != e.Mode || p.MaxAge != time.Duration(seconds)*time.Second || !slices.Equal(p.MX, e.MX) {
			t.Errorf("%s: got %s %v %q, want %s %d %q", e.File, p.Mode, p.MaxAge, p.MX, e.Mode, seconds, e.MX)
		}
		if e.Verdict == "lenient" && len(p.Problems) == 0 {
			t.Errorf("%s is lenient, and has no problems", e.File)
		}
		// Nothing is skipped in a valid policy but what the RFC says to ignore, and
		// the one that names an IPv4 address is told so.
		if got := reasons(p); e.Verdict == "valid" && strings.ReplaceAll(got, "duplicate-field", "") != "" && got != "mx-ip-address" {
			t.Errorf("%s is valid, and has problems %v", e.File, p.Problems)
		}
	}
	if count["valid"] == 0 || count["lenient"] == 0 || count["invalid"] == 0 {
		t.Errorf("the corpus is empty: %v", count)
	}
}

func TestCorpusRecords(t *testing.T) {
	f, err := os.Open(filepath.Join(corpus(t), "records", "records.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e struct {
			ID, Expect, Why string
			TXT             [][]string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		count++
		var txts []string
		for _, parts := range e.TXT {
			txts = append(txts, strings.Join(parts, "")) // STS-13
		}
		// sts-043 was published at another name, so that the RRset at ours is empty:
		// a question for the resolver, not for the parser.
		if e.ID == "sts-043" {
			continue
		}
		_, err := selectRecord(txts)
		// A record with a blank before its semicolon is ambiguous (AMB-01); alone, we
		// take it.
		var ok bool
		switch e.Expect {
		case "valid", "valid-but-ambiguous":
			ok = err == nil
		case "discard":
			ok = err == errTXTNone
		case "no-record":
			ok = err == errTXTMultiple
		case "invalid":
			ok = errors.Is(err, errTXTInvalid)
		}
		if !ok {
			t.Errorf("%s is %s (%s): %q: %v", e.ID, e.Expect, e.Why, txts, err)
		}
	}
	if err := lines.Err(); err != nil || count == 0 {
		t.Errorf("%d records, %v", count, err)
	}
}
