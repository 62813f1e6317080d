package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// mail is a message as senders send it (RFC 8460, section 5.3).
func mail(t *testing.T, report []byte) []byte {
	t.Helper()
	return []byte(strings.ReplaceAll(`From: tls@alder.example
To: tls@example.com
Subject: Report Domain: example.com Submitter: alder.example
MIME-Version: 1.0
Content-Type: multipart/report; report-type="tlsrpt"; boundary="b"

--b
Content-Type: text/plain

A report.
--b
Content-Type: application/tlsrpt+gzip
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="alder.example!example.com!1!2.json.gz"

`+base64.StdEncoding.EncodeToString(gzipped(t, report))+`
--b--
`, "\n", "\r\n"))
}

func TestEveryFormOfAReport(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "new", "cur")
	if err := os.MkdirAll(filepath.Join(dir, ".hidden"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a.json"), asJSON(t, plain("alder", "example.com", 0, 1, 0)))
	write(t, filepath.Join(dir, "b.json.gz"), gzipped(t, asJSON(t, plain("alder", "example.com", 1, 10, 0))))
	write(t, filepath.Join(deep, "1700000000.M1P1.host:2,S"), mail(t, asJSON(t, plain("alder", "example.com", 2, 100, 0))))
	write(t, filepath.Join(dir, ".hidden", "x.json"), []byte("no report"))
	write(t, filepath.Join(dir, ".x.json"), []byte("no report"))
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "endless")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	stdin := asJSON(t, plain("alder", "example.com", 3, 1000, 0))
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"a directory and standard input", []string{dir, "-"}, "1,111 sessions, 0 bad: 100 % good"},
		{"standard input without a name", nil, "1,000 sessions, 0 bad: 100 % good"},
		{"a file by name", []string{filepath.Join(dir, "b.json.gz")}, "10 sessions, 0 bad: 100 % good"},
		{"a link to a directory", []string{link}, "111 sessions, 0 bad: 100 % good"},
		{"a file that a directory names, too", []string{dir, filepath.Join(dir, "b.json.gz")}, "111 sessions, 0 bad: 100 % good"},
	} {
		status, out, errs := report(t, bytes.NewReader(stdin), c.args...)
		if status != exitDone || errs != "" || !strings.Contains(out, "\n"+c.want+"\n") {
			t.Errorf("%s: status %d\n%s%s", c.name, status, out, errs)
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	good, odd := filepath.Join(dir, "good.json"), filepath.Join(dir, "\x1b[2Jodd\u202e.json")
	write(t, good, asJSON(t, plain("alder", "example.com", 0, 1, 2)))
	write(t, odd, []byte("neither JSON nor a mail"))
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	const read = "\n3 sessions, 2 bad: 33.3 % good\n"
	for _, c := range []struct {
		args []string
		says string
		out  string
	}{
		{[]string{filepath.Join(dir, "gone"), good}, "gone: no such file or directory", read},
		{[]string{odd, good}, "[2Jodd.json: ", read},
		{[]string{dir}, "[2Jodd.json: ", read},
		{[]string{empty}, "empty/: no files in this directory", ""},
		{[]string{"-"}, "standard input: ", ""},
		{[]string{odd}, "[2Jodd.json: ", ""},
	} {
		status, out, errs := report(t, strings.NewReader(""), c.args...)
		if status != exitUnread || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "report: ") || !strings.Contains(errs, c.says) {
			t.Errorf("report %q: status %d, want %d saying %q; got %s", c.args, status, exitUnread, c.says, errs)
		}
		if (out != "") != (c.out != "") || !strings.Contains(out, c.out) {
			t.Errorf("report %q printed %q", c.args, out)
		}
		if strings.ContainsAny(errs, "\x1b\u202e") {
			t.Errorf("a file name speaks to the terminal: %q", errs) // R21
		}
	}
}

func TestReportsAsFoundInTheWild(t *testing.T) {
	corpus := os.Getenv("STRICTMX_CORPUS")
	if corpus == "" {
		t.Skip("set STRICTMX_CORPUS to a directory with reports/*.json")
	}
	files, err := filepath.Glob(filepath.Join(corpus, "reports", "[0-9]*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no reports in %s: %v", corpus, err)
	}
	status, out, errs := report(t, nil, files...)
	if status != exitDone || errs != "" || !strings.Contains(out, "Google Inc.") || !strings.Contains(out, "What to do") {
		t.Errorf("status %d\n%s", status, errs)
	}
}
