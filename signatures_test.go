package strictmx_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Who uses resolver must not depend on the DNS library behind it.
func TestNoExportedSignatureNamesTheDNSLibrary(t *testing.T) {
	for name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, leak := range leaks(t, name, string(src)) {
			t.Errorf("%s: %s shows a type of %s", name, leak, miekgdns)
		}
	}
}

// What the test above calls a leak.
func TestLeaks(t *testing.T) {
	for _, c := range []struct {
		src  string
		want []string
	}{
		{`func F() *dns.Msg { return nil }`, []string{"F"}},
		{`func F(m map[string][]dns.RR) {}`, []string{"F"}},
		{`func F() { var _ dns.Msg }`, nil},
		{`func f() *dns.Msg { return nil }`, nil},
		{`type T struct{ Msg dns.Msg }`, []string{"T"}},
		{`type T struct{ msg dns.Msg }`, nil},
		{`type T struct{ dns.Msg }`, []string{"T"}},
		{`type t struct{ Msg dns.Msg }`, nil},
		{`type T interface{ M(dns.RR) }`, []string{"T"}},
		{`type T dns.Msg`, []string{"T"}},
		{`type t = dns.RR`, []string{"t"}}, // through which anything could get out
		{`type T struct{}; func (*T) M() dns.RR { return nil }`, []string{"M"}},
		{`type T struct{}; func (T) m() dns.RR { return nil }`, nil},
		{`type t[V any] struct{}; func (*t[V]) M() dns.RR { return nil }`, nil},
		{`type T[V any] struct{}; func (*T[V]) M() dns.RR { return nil }`, []string{"M"}},
		{`type t[A, B any] struct{}; func (*t[A, B]) M() dns.RR { return nil }`, nil},
		{`var V = dns.TypeA`, []string{"V"}},
		{`var v = dns.TypeA`, nil},
	} {
		src := "package p; import \"" + miekgdns + "\"; " + c.src
		if got := leaks(t, "p.go", src); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.src, got, c.want)
		}
		renamed := strings.ReplaceAll(src, "dns.", "other.")
		renamed = strings.Replace(renamed, "import ", "import other ", 1)
		if got := leaks(t, "p.go", renamed); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", renamed, got, c.want)
		}
	}
}

// leaks returns the exported declarations of a file that name the DNS library.
func leaks(t *testing.T, name, src string) (out []string) {
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	local := ""
	for _, spec := range f.Imports {
		if spec.Path.Value == strconv.Quote(miekgdns) {
			local = "dns"
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	if local == "" {
		return nil
	}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv)) && names(d.Type, local) {
				out = append(out, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				out = append(out, leaksOfSpec(spec, local)...)
			}
		}
	}
	return out
}

func leaksOfSpec(spec ast.Spec, local string) (out []string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if (s.Name.IsExported() || s.Assign.IsValid()) && names(s, local) {
			out = append(out, s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && names(s, local) {
				out = append(out, n.Name)
			}
		}
	}
	return out
}

// exportedReceiver looks through the star and the type parameters.
func exportedReceiver(recv *ast.FieldList) bool {
	for x := recv.List[0].Type; ; {
		switch e := x.(type) {
		case *ast.StarExpr:
			x = e.X
		case *ast.IndexExpr:
			x = e.X
		case *ast.IndexListExpr:
			x = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}

// names reports whether a declaration names the package known as local, where
// an importer can see it: not in unexported fields or the bodies of functions.
func names(n ast.Node, local string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BlockStmt:
			return false
		case *ast.StructType:
			for _, field := range n.Fields.List {
				if len(field.Names) == 0 || slices.ContainsFunc(field.Names, (*ast.Ident).IsExported) {
					found = found || names(field.Type, local)
				}
			}
			return false
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == local {
				found = true
			}
		}
		return true
	})
	return found
}
