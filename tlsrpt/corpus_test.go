package tlsrpt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// RPT-75, RPT-124: what real senders sent, which is not in the repository.
func TestParseReportOfTheWorld(t *testing.T) {
	dir := os.Getenv("STRICTMX_CORPUS")
	if dir == "" {
		t.Skip("set STRICTMX_CORPUS to a folder with reports/index.json and the files it names")
	}
	index, err := os.ReadFile(filepath.Join(dir, "reports", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var files []struct {
		File    string
		Org     string
		Types   []string
		Results []string `json:"result_types"`
	}
	if err := json.Unmarshal(index, &files); err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		in, err := os.Open(filepath.Join(dir, "reports", f.File))
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseReport(in)
		in.Close()
		if err != nil {
			t.Errorf("%s: %v", f.File, err)
			continue
		}
		types, results := []string{}, []string{}
		for _, p := range r.Policies {
			types = append(types, string(p.Policy.Type))
			for _, d := range p.Failures {
				results = append(results, string(d.Type))
			}
		}
		if r.Organization != f.Org || !slices.Equal(set(types), set(f.Types)) || !slices.Equal(set(results), set(f.Results)) {
			t.Errorf("%s: got %q %q %q, want %q %q %q", f.File, r.Organization, types, results, f.Org, f.Types, f.Results)
		}
	}
}

func set(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}
