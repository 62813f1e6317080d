package strictmx_test

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/strictmx/strictmx"

	miekgdns  = "github.com/miekg/dns"
	golanglru = "github.com/hashicorp/golang-lru/v2"
	xnet      = "golang.org/x/net"
	xsync     = "golang.org/x/sync"
)

// The whole picture: which package may import which, beside the standard
// library. A module stands for all of its packages.
var mayImport = map[string][]string{
	".":                    {},
	"outbound":             {"internal/ablation", "mtasts", "tlsrpt", "resolver", "internal/dnsname", "internal/publicaddr"},
	"mtasts":               {"internal/ablation", "tlsrpt", "cache", "resolver", "internal/dnsname", "internal/tagvalue", "internal/publicaddr", xsync},
	"tlsrpt":               {"resolver", "internal/dnsname", "internal/tagvalue", "internal/publicaddr"},
	"tlsrpt/collect":       {"tlsrpt", "cache", "resolver", "internal/dnsname", "internal/tagvalue", "internal/publicaddr"},
	"cache":                {golanglru, xsync},
	"cache/storetest":      {"cache"},
	"resolver":             {"internal/dnsname", "internal/publicaddr", miekgdns},
	"strictmxtest":         {"resolver", "internal/dnsname", miekgdns},
	"internal/dnsname":     {xnet},
	"internal/tagvalue":    {},
	"internal/publicaddr":  {},
	"internal/ablation":    {},
	"internal/adversary":   {}, // all of it is tests
	"internal/realservers": {}, // and so is this
	"examples/*":           {"outbound", "mtasts", "tlsrpt", "tlsrpt/collect", "cache", "resolver", "strictmxtest"},
}

// What tests may import on top.
var testsMayImport = map[string][]string{
	"outbound":             {"strictmxtest", "cache"},
	"mtasts":               {"strictmxtest"},
	"cache":                {"cache/storetest"},
	"tlsrpt":               {"strictmxtest"},
	"tlsrpt/collect":       {"outbound", "mtasts", "strictmxtest"},
	"internal/realservers": {"outbound", "mtasts", "tlsrpt", "strictmxtest"},
	"internal/adversary":   {"internal/ablation", "outbound", "mtasts", "tlsrpt", "tlsrpt/collect", "cache", "resolver", "internal/dnsname"},
}

func TestEveryPackageImportsOnlyWhatItMay(t *testing.T) {
	seen := make(map[string]bool)
	for name := range goFiles(t) {
		dir := row(path.Dir(name))
		allowed, known := mayImport[dir]
		if !known {
			if !seen[dir] {
				t.Errorf("%s is not in the table: say what it may import", dir)
			}
			seen[dir] = true
			continue
		}
		seen[dir] = true
		if strings.HasSuffix(name, "_test.go") {
			allowed = append(slices.Clone(allowed), testsMayImport[dir]...)
			allowed = append(allowed, dir) // the test of a package from outside
		}
		for _, imported := range imports(t, name) {
			if !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, imported) }) {
				t.Errorf("%s imports %s; %s may import %q", name, imported, dir, allowed)
			}
		}
	}
	for _, dir := range []string{"mtasts", "tlsrpt", "cache", "resolver"} {
		if !seen[dir] {
			t.Errorf("no file of %s was found: this test looked in the wrong place", dir)
		}
	}
}

func TestWhatIsTestsAlone(t *testing.T) {
	for name := range goFiles(t) {
		dir := path.Dir(name)
		if (dir == "internal/adversary" || dir == "internal/realservers") && !strings.HasSuffix(name, "_test.go") && path.Base(name) != "doc.go" {
			t.Errorf("%s is no test", name)
		}
	}
}

// The core has four direct requirements. A package that needs another one has
// a module of its own.
func TestDirectRequirements(t *testing.T) {
	b, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{golanglru, miekgdns, xnet, xsync}
	if got := slices.Sorted(maps.Keys(directRequirements(string(b)))); !slices.Equal(got, want) {
		t.Errorf("go.mod requires %q directly, want %q", got, want)
	}
	if strings.Contains(string(b), "replace") {
		t.Error("go.mod replaces a module: whoever imports this one would not get the same")
	}
}

// goFiles yields the Go files of this module, by slashed path from its root.
func goFiles(t *testing.T) func(func(string) bool) {
	return func(yield func(string) bool) {
		err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || isModule(name)):
				return fs.SkipDir
			case !d.IsDir() && path.Ext(name) == ".go" && !yield(name):
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(filepath.FromSlash(dir), "go.mod"))
	return err == nil
}

// row returns the name under which the table knows a folder.
func row(dir string) string {
	if strings.HasPrefix(dir, "examples/") {
		return "examples/*"
	}
	return dir
}

// imports returns what a file imports from outside the standard library, whose paths
// begin with a word without a dot; a package of this module by its folder.
func imports(t *testing.T, name string) []string {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(p, "/"); strings.Contains(first, ".") {
			out = append(out, cmp.Or(strings.TrimPrefix(strings.TrimPrefix(p, module), "/"), "."))
		}
	}
	return out
}

// covers reports whether an entry of the table allows an import: a folder
// itself, a module with all that is in it.
func covers(allowed, imported string) bool {
	return imported == allowed || strings.Contains(allowed, ".") && strings.HasPrefix(imported, allowed+"/")
}

// directRequirements returns the modules that a go.mod requires without the
// remark that it does so for others.
func directRequirements(gomod string) map[string]bool {
	out := make(map[string]bool)
	block := ""
	for line := range strings.Lines(gomod) {
		directive, fields := block, strings.Fields(line)
		if block == "" && len(fields) > 0 {
			directive, fields = fields[0], fields[1:]
		}
		switch {
		case len(fields) == 0:
		case fields[0] == "(":
			block = directive
		case fields[0] == ")":
			block = ""
		case directive == "require" && !strings.Contains(line, "// indirect"):
			out[fields[0]] = true
		}
	}
	return out
}
