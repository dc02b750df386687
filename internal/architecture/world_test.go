package architecture_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnlyCmdKnowsTheWorld: below cmd, the environment, the clock and the standard streams are
// parameters, so that every package can be tested without them.
func TestOnlyCmdKnowsTheWorld(t *testing.T) {
	banned := map[string]bool{
		"os.Getenv": true, "os.LookupEnv": true, "os.Environ": true, "os.Args": true,
		"os.Stdin": true, "os.Stdout": true, "os.Stderr": true, "os.Exit": true, "time.Now": true,
		"fmt.Print": true, "fmt.Printf": true, "fmt.Println": true, "log.Print": true, "log.Printf": true, "log.Fatal": true,
	}
	files := 0
	for _, top := range []string{"internal", "stages", "patches", "templates"} {
		err := filepath.WalkDir(filepath.Join("../..", top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && banned[x.Name+"."+s.Sel.Name] {
						t.Errorf("%s: %s.%s is for cmd alone", set.Position(s.Pos()), x.Name, s.Sel.Name)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 10 {
		t.Errorf("only %d files were looked at", files)
	}
}
