package mtasts_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/tlsrpt"
)

// Whatever reason this package gives, the owner of the domain can be told what
// to fix.
func TestEveryReasonHasAdvice(t *testing.T) { // R16
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "reason") {
				return true
			}
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			found++
			word, _ := strconv.Unquote(literal.Value)
			if tlsrpt.Advice(tlsrpt.Failure{Reason: word}) == "" {
				t.Errorf("%s: %s = %q has no advice in tlsrpt", name, spec.Names[0].Name, word)
			}
			return true
		})
	}
	if publicaddr.Reason != tlsrpt.ReasonNonPublicAddress {
		t.Errorf("publicaddr says %q, tlsrpt %q", publicaddr.Reason, tlsrpt.ReasonNonPublicAddress)
	}
	if found < 20 {
		t.Errorf("found only %d reasons", found)
	}
}
