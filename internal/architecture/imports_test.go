package architecture_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "bootstrap"

// pkg is a package as `go list -json` has it.
type pkg struct {
	ImportPath   string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// list returns packages, with all they depend on if deps is set.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports,TestImports,XTestImports,Deps"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the program is built
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	var packages []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatalf("%v: no packages", cmd.Args)
	}
	return packages
}

// layer returns the height of a package: whoever imports is never below who is imported.
func layer(path string) (height int, ours bool) {
	name, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return 0, false
	}
	top, _, _ := strings.Cut(name, "/")
	return map[string]int{"patches": 1, "templates": 1, "internal": 1, "stages": 2, "cmd": 3}[top], true
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range list(t, "./...") {
		height, _ := layer(p.ImportPath)
		if height == 0 {
			t.Errorf("%s: in no layer; packages are below cmd, stages, internal, patches and templates", p.ImportPath)
		}
		for _, imported := range p.Imports {
			h, ours := layer(imported)
			switch {
			case !ours:
			case h > height:
				t.Errorf("%s imports %s, which is above it", p.ImportPath, imported)
			case strings.HasSuffix(imported, "test") && !strings.HasSuffix(p.ImportPath, "test"):
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, imported)
			}
		}
	}
}

// TestOneDoor: a library that touches the world has one package in front of it, tests included.
func TestOneDoor(t *testing.T) {
	doors := map[string]string{
		"github.com/hashicorp/go-getter": module + "/internal/fetch",
		"github.com/mholt/archiver":      module + "/internal/deb",
		"github.com/manifoldco/promptui": module + "/internal/prompt",
		"github.com/vbauerster/mpb":      module + "/internal/progress",
		"github.com/spf13/cobra":         module + "/cmd/bootstrap",

		"github.com/google/go-containerregistry": module + "/internal/image",
	}
	importers := map[string][]string{}
	for _, p := range list(t, "./...") {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			for library := range doors {
				if imported == library || strings.HasPrefix(imported, library+"/") {
					importers[library] = append(importers[library], p.ImportPath)
				}
			}
		}
	}
	for library, door := range doors {
		got := slices.Compact(slices.Sorted(slices.Values(importers[library])))
		if !slices.Equal(got, []string{door}) {
			t.Errorf("%s is imported by %q, not by %s alone", library, got, door)
		}
	}
}

// TestStandsAlone: libraries that are of use without the rest import nothing of it.
func TestStandsAlone(t *testing.T) {
	for _, p := range list(t, "./internal/drv", "./internal/relocate") {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if _, ours := layer(imported); ours && imported != p.ImportPath {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

// TestNothingHeavy: what the program links stays small, and out of the business of clouds.
func TestNothingHeavy(t *testing.T) {
	banned := []string{
		"cloud.google.com/", "google.golang.org/", "github.com/aws/", "github.com/Azure/", "k8s.io/",
		"github.com/docker/", "github.com/hashicorp/go-getter/s3", "github.com/hashicorp/go-getter/gcs",
		"testing", "net/http/httptest", "net/http/pprof", "runtime/cgo",
		"github.com/google/go-cmp", module + "/internal/debtest",
	}
	for _, p := range list(t, "./cmd/bootstrap") {
		for _, dep := range p.Deps {
			for _, b := range banned {
				if dep == b || strings.HasSuffix(b, "/") && strings.HasPrefix(dep, b) || strings.HasPrefix(dep, b+"/") {
					t.Errorf("the program links %s", dep)
				}
			}
		}
	}
}
