//go:build e2e

package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ulikunitz/xz"
)

// wares is a directory of small things to build, which nobody has built before.
//
//	src/         a flake and the same as a plain expression: one, two (which needs one), old, prog, env
//	locked/      a flake that has src as its input
//	channel/     the archive of a channel
//	flake.tar.gz src as an archive
//	file         something to fetch
type wares struct{ dir, system string }

// newWares writes them for a prefix. Each derivation takes its builder from there.
func (p *place) newWares(t *testing.T) wares {
	t.Helper()
	w := wares{dir: p.scratch(t), system: nixSystem()}
	salt := fmt.Sprintf("%08x", rand.Uint32())
	bash := filepath.Join(p.output(t, "toolchain", "toolchain"), "usr/bin/bash")
	expression := strings.NewReplacer(
		"@system@", w.system, "@salt@", salt, "@busybox@", p.output(t, "toolchain", "busybox"),
		"@bash@", bash, "@toolchain@", p.output(t, "toolchain", "toolchain"),
	).Replace(`let
  make = name: script: derivation {
    name = "iso-@salt@-${name}";
    system = "@system@";
    builder = "@busybox@/bin/sh";
    args = [ "-euc" script ];
    PATH = "@busybox@/bin";
  };
in
rec {
  one = make "one" "mkdir $out; echo one >$out/one";
  old = make "old" "mkdir $out; echo old >$out/old";
  two = make "two" "mkdir $out; ln -s ${one}/one $out/two";
  prog = make "prog" "mkdir -p $out/bin; printf '#!@busybox@/bin/sh\necho hello\n' >$out/bin/prog; chmod 755 $out/bin/prog";
  # nix develop wants a derivation that bash builds.
  env = derivation {
    name = "iso-@salt@-env";
    system = "@system@";
    builder = builtins.appendContext "@bash@" { "@toolchain@" = { path = true; }; };
    args = [ "-c" "echo >$out" ];
    outputs = [ "out" ];
    inherit one;
  };
}
`)
	for name, text := range map[string]string{
		"src/default.nix": expression,
		"src/flake.nix": `{
  outputs = { self }: let set = import ./default.nix; in {
    packages.` + w.system + ` = set;
    apps.` + w.system + `.prog = { type = "app"; program = "${set.prog}/bin/prog"; };
    templates.default = { path = ./template; description = "one file"; };
  };
}
`,
		"src/template/from-template": "text\n",
		"src/fetch.nix":              "builtins.readFile (builtins.fetchTarball \"file://" + w.dir + "/flake.tar.gz\" + \"/default.nix\")\n",
		"locked/flake.nix":           "{ inputs.src.url = \"path:" + w.dir + "/src\"; outputs = { self, src }: { }; }\n",
		"file":                       "something to fetch " + salt + "\n",
	} {
		p.w.put(t, filepath.Join(w.dir, name), text)
	}
	archive := w.tar(t, map[string]string{"src/default.nix": expression, "src/flake.nix": w.read(t, "src/flake.nix"), "src/template/from-template": "text\n"})
	p.w.put(t, filepath.Join(w.dir, "flake.tar.gz"), gzipped(t, archive))
	var x bytes.Buffer
	z, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	p.w.put(t, filepath.Join(w.dir, "channel/nixexprs.tar.xz"), x.String())
	return w
}

// words splits a command line of words without spaces.
func words(line string) []string { return strings.Fields(line) }

func (w wares) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// tar returns an archive of files by their names, with the same bytes each time.
func (w wares) tar(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	out := gzip.NewWriter(&b)
	if _, err := out.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// nixSystem is what Nix calls this machine.
func nixSystem() string {
	return map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux"
}

// built builds one of the wares without a link, and returns its path.
func (p *place) built(t *testing.T, w wares, name string) string {
	t.Helper()
	c := p.bare(w.dir, []string{p.programPath(t, "nix"), "build", "--no-link", "--print-out-paths", "-f", "src", name})
	return strings.TrimSpace(c.must(t))
}
