//go:build e2e

package e2e_test

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/lock"
)

// testExports takes what was built in a prefix elsewhere, in each of the forms there are, and runs
// it where neither the prefix nor anything else of this machine is. The other prefix has another
// store directory.
func testExports(t *testing.T, p, other *place) {
	needs(t, p)
	p.addHelloSource(t)
	hello := strings.TrimSpace(p.nix(t, "nix", "build", "--no-link", "--print-out-paths", "-f", p.packages(), "hello").must(t))
	e := &exports{p: p, other: other, hello: hello, dir: p.scratch(t)}
	if err := os.Mkdir(filepath.Join(e.dir, "root"), 0o700); err != nil { // HOME of what root runs
		t.Fatal(err)
	}
	t.Run("tar", func(t *testing.T) { testExportTar(t, e) })
	t.Run("container", func(t *testing.T) { testExportContainer(t, e) })
	t.Run("container with nix", func(t *testing.T) { testExportWithNix(t, e) })
	t.Run("lambda", func(t *testing.T) { testExportLambda(t, e) })
	p.works(t, "exports-after")
}

// addHelloSource puts the source of GNU hello back, which garbage collections have taken away, and
// which would be fetched otherwise.
func (p *place) addHelloSource(t *testing.T) {
	t.Helper()
	for _, e := range seedEntries(t) {
		if !slices.Contains(e.Roles, lock.HelloSource) {
			continue
		}
		file := filepath.Join(p.scratch(t), path.Base(e.Path))
		if err := os.WriteFile(file, read(t, p.w.cached(e.SHA256)), 0o644); err != nil {
			t.Fatal(err)
		}
		p.nix(t, "nix-store", "--add-fixed", "sha256", file).must(t)
	}
}

// exports is what the tests of it have in common.
type exports struct {
	p, other *place
	hello    string // store path of GNU hello
	dir      string // the account's own
}

// greeting is what hello says.
const greeting = "Hello, world!\n"

// same writes an export twice, and makes sure that it is the same bytes. It returns the file, and
// what was said the first time.
func (e *exports) same(t *testing.T, name string, args ...string) (file string, said result) {
	t.Helper()
	file = filepath.Join(e.dir, name)
	again := filepath.Join(e.dir, "again-"+name)
	export := func(to string) result {
		return e.p.program(append(append([]string{"export"}, args...), "-o", to)...).run(t).want(t, 0)
	}
	said = export(file)
	export(again)
	if !bytes.Equal(read(t, file), read(t, again)) {
		t.Errorf("export %q: the same twice has other bytes", args)
	}
	if left, err := filepath.Glob(filepath.Join(e.dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left beside the files: %q, %v", left, err)
	}
	if err := os.Remove(again); err != nil {
		t.Error(err)
	}
	return file, said
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// asRoot returns a command of this machine's, run by whoever runs the tests.
func (e *exports) asRoot(argv ...string) command {
	return command{argv: argv, dir: e.dir, env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + filepath.Join(e.dir, "root")}}
}

// onlyRoot skips a test that has to enter a file system of its own.
func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can run what was exported in a file system of its own")
	}
}
