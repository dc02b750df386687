//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testRepair damages files in the store as a power cut, a disk and a person do. What the same command
// finds it mends, `bootstrap repair` finds the rest, and neither takes for damaged what is not.
func testRepair(t *testing.T, p *place) {
	if out := p.program("repair").must(t); !strings.Contains(out, "Nothing is damaged") {
		t.Fatalf("of a prefix that is well:\n%s", out)
	}
	before := p.pathInfos(t, "--all")
	toolchain := p.output(t, "toolchain", "toolchain")
	certificates := filepath.Join(p.output(t, "toolchain", "cacert"), "etc/ssl/certs/ca-bundle.crt")
	mine := p.built(t, p.newWares(t), "one") // nothing of ours, and nothing can make it anew but its derivation
	before[mine] = p.pathInfos(t, mine)[mine]

	t.Run("a file of no bytes", func(t *testing.T) {
		damage(t, filepath.Join(toolchain, "usr/bin/ninja"), func([]byte) []byte { return nil })
		r := p.install("").run(t).want(t, 0)
		if !strings.Contains(r.stderr, "made anew") {
			t.Errorf("it does not say that files were not what they were:\n%s", r.tail())
		}
		t.Logf("measured: a damaged toolchain mended by the same command: %s", r.took)
	})
	t.Run("bytes that were changed", func(t *testing.T) {
		for _, file := range []string{certificates, filepath.Join(mine, "one")} {
			damage(t, file, func(data []byte) []byte {
				data = slices.Clone(data)
				data[len(data)/2] ^= 1
				return data
			})
		}
		r := p.program("repair", "--yes").run(t).want(t, 0)
		if !strings.Contains(r.stdout, "Done again: host, toolchain.") {
			t.Errorf("it has done more again, or less, than what was damaged:\n%s", r.stdout)
		}
		for _, want := range []string{"toolchain", mine} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("%q is not named:\n%s", want, r.stdout)
			}
		}
		t.Logf("measured: repair of a certificate bundle and of one more path: %s", r.took)
	})

	testVerify(t, p)
	if out := p.program("repair").must(t); !strings.Contains(out, "Nothing is damaged") {
		t.Errorf("after the repair:\n%s", out)
	}
	after := p.pathInfos(t, "--all")
	for path := range before {
		if diff := cmp.Diff(before[path], after[path]); diff != "" {
			t.Errorf("%s (-before +after):\n%s", path, diff)
		}
	}
	p.works(t, "after-the-repair")
}

// damage changes a file of the store, and leaves its mode and its directory's as they were.
func damage(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, info.Mode().Perm()); err != nil {
		t.Fatal(err)
	}
}
