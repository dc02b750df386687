package relocate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/relocate"
)

// Programs that have paths in them in every way in which compilers split texts, and print them.

const cProgram = `
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#define P "` + fromStore + "/" + fromA + `"
__attribute__((noinline)) void by_array(char *out) { char a[] = P; strcpy(out, a); }
__attribute__((noinline)) void by_strcpy(char *out) { strcpy(out, P); }
__attribute__((noinline)) void by_strcpy_more(char *out) { strcpy(out, P "/bin/sh"); }
__attribute__((noinline)) void by_memcpy(char *out) { memcpy(out, P "/lib/x", sizeof P "/lib/x"); }
__attribute__((noinline)) void by_strcat(char *out) { strcpy(out, "x="); strcat(out, P); }
__attribute__((noinline)) int by_memcmp(const char *s) { return memcmp(s, P, sizeof P); }
__attribute__((noinline)) int by_strcmp(const char *s) { return strcmp(s, P); }
__attribute__((noinline)) void by_struct(char *out) { struct { char a[64]; } s = { P }; memcpy(out, &s, 64); }
__attribute__((noinline)) void by_overlap(char *out, const char *base) {
	const char *dir = P "/lib"; /* 16 bytes at a time, of which the last have two digits of the hash part */
	size_t n = strlen(dir);
	memcpy(out, dir, n);
	out[n] = '/';
	strcpy(out + n + 1, base);
}
__attribute__((noinline)) void by_overlaps(char *out) { strcpy(out, P "/sbin"); strcat(out, P "/lib"); }
__attribute__((noinline)) char *by_static(void) { static char a[96]; memcpy(a, P "/li", sizeof P "/li" - 1); return a; }
__attribute__((noinline)) const char *by_pointer(void) { return P "/etc"; }
int main(int argc, char **argv) {
	static char out[256];
	by_array(out); puts(out);
	by_strcpy(out); puts(out);
	by_strcpy_more(out); puts(out);
	by_memcpy(out); puts(out);
	by_strcat(out); puts(out);
	memset(out, 0, sizeof out);
	by_struct(out); puts(out);
	by_overlap(out, "charset"); puts(out);
	by_overlaps(out); puts(out);
	puts(by_static());
	puts(by_pointer());
	strcpy(out, argv[1]);
	printf("%d %d\n", by_memcmp(out) == 0, by_strcmp(out) == 0);
	return 0;
}
`

const cxxProgram = `
#include <cstdio>
#include <cstring>
#include <string>
#include <array>
#define P "` + fromStore + "/" + fromA + `"
__attribute__((noinline)) std::string own() { return P; }
__attribute__((noinline)) std::string longer() { return std::string("x=") + P "/bin"; }
__attribute__((noinline)) bool equal(const std::string &s) { return s == P; }
__attribute__((noinline)) bool starts(const char *s) { return std::strncmp(s, P, sizeof P - 1) == 0; }
__attribute__((noinline)) std::array<char, sizeof P> array() { std::array<char, sizeof P> a; std::memcpy(a.data(), P, sizeof P); return a; }
int main(int, char **argv) {
	std::string a = argv[1];
	std::printf("%s %s %s %d %d\n", own().c_str(), longer().c_str(), array().data(), equal(a), starts(argv[1]));
}
`

const rustProgram = `
// std::hint::black_box is of Rust 1.66.
fn black_box<T: Copy>(x: T) -> T { unsafe { std::ptr::read_volatile(&x) } }
const P: &str = "` + fromStore + "/" + fromA + `";
#[inline(never)] fn own() -> String { String::from(P) }
#[inline(never)] fn array() -> [u8; 53] { *b"` + fromStore + "/" + fromA + `" }
#[inline(never)] fn equal(s: &str) -> bool { s == P }
#[inline(never)] fn bare(s: &str) -> bool { s == "` + fromStore + `" }
fn main() {
    let a = std::env::args().nth(1).unwrap();
    println!("{} {} {} {}", own(), std::str::from_utf8(&black_box(array())).unwrap(), equal(&a), bare(&a[..10]));
}
`

const goProgram = `package main

import (
	"fmt"
	"os"
)

const p = "` + fromStore + "/" + fromA + `"

//go:noinline
func equal(s string) bool { return s == p }

//go:noinline
func bare(s string) bool { return s == "` + fromStore + `" }

//go:noinline
func array() [53]byte { return [53]byte([]byte(p)) }

func main() {
	a, b := os.Args[1], array()
	fmt.Println(p, string(b[:]), equal(a), bare(a[:10]))
}
`

// build is one way to make a program.
type build struct {
	source string
	args   []string
	linker string // ld.NAME has to be there; empty for what needs none, or its own
}

// builds are all of them: each compiler at each level, and each linker.
func builds() (list []build) {
	for _, linker := range []string{"bfd", "gold", "lld"} {
		for _, level := range []string{"0", "1", "2", "3", "s"} {
			list = append(list, build{"p.c", []string{"gcc", "-w", "-O" + level, "-fuse-ld=" + linker}, linker})
			if linker == "bfd" {
				list = append(list, build{"p.c", []string{"gcc", "-w", "-O" + level, "-march=x86-64-v3"}, linker})
			}
			if linker == "bfd" || level == "0" || level == "2" { // these take their time
				list = append(list, build{"p.cc", []string{"g++", "-w", "-O" + level, "-fuse-ld=" + linker}, linker})
				list = append(list, build{"p.rs", []string{"rustc", "-C", "strip=debuginfo", "-C", "opt-level=" + level, "-C", "link-arg=-fuse-ld=" + linker}, linker})
			}
		}
	}
	return append(list, build{"p.go", []string{"go", "build", "-ldflags=-s -w"}, ""},
		build{"p.go", []string{"go", "build", "-gcflags=-N -l", "-ldflags=-s -w"}, ""})
}

// TestCompiled: what compilers make of paths is right afterwards, or refused. Go and Rust put texts one behind the other,
// so that it may not be seen where a directory ends: that is refused. What is not installed is left out, and said.
func TestCompiled(t *testing.T) {
	dir := t.TempDir()
	p := toStore + "/" + toA
	want := map[string]string{
		"p.c":  fmt.Sprintf("%[1]s\n%[1]s\n%[1]s/bin/sh\n%[1]s/lib/x\nx=%[1]s\n%[1]s\n%[1]s/lib/charset\n%[1]s/sbin%[1]s/lib\n%[1]s/li\n%[1]s/etc\n1 1\n", p),
		"p.cc": fmt.Sprintf("%s x=%s/bin %s 1 1\n", p, p, p),
		"p.rs": fmt.Sprintf("%s %s true true\n", p, p),
		"p.go": fmt.Sprintf("%s %s true true\n", p, p),
	}
	for name, text := range map[string]string{"p.c": cProgram, "p.cc": cxxProgram, "p.rs": rustProgram, "p.go": goProgram} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	right, refusals, repaired, missing := map[string]int{}, map[string]int{}, 0, map[string]bool{}
	for _, b := range builds() {
		if need := absent(b); need != "" {
			missing[need] = true
			continue
		}
		name := strings.Join(b.args, " ")
		content := compiled(t, dir, b)
		got, report, err := run(t, relocate.Options{}, tree{"p": content})
		if err != nil {
			refusals[b.source]++
			t.Logf("%s: %v", name, err)
			continue
		}
		exe := filepath.Join(dir, "p")
		if err := os.WriteFile(exe, []byte(got["p"]), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(exe, p).Output(); err != nil || string(out) != want[b.source] {
			t.Errorf("%s: silently corrupted: %v\n%s\nnot\n%s", name, err, out, want[b.source])
			continue
		}
		right[b.source]++
		if report.Counts[relocate.Rewritten]+report.Counts[relocate.Repaired] == 0 {
			t.Errorf("%s: nothing was found", name)
		}
		if report.Counts[relocate.Repaired] > 0 {
			repaired++
		}
		must(t, relocate.Options{}, tree{"p": content})
	}
	for _, source := range []string{"p.c", "p.cc", "p.rs", "p.go"} {
		t.Logf("measured: %s: %d are right, %d refused", source, right[source], refusals[source])
		if right[source] < refusals[source] {
			t.Errorf("%s: most are refused", source)
		}
	}
	t.Logf("measured: %d had pieces that were repaired; not installed: %v", repaired, missing)
	if right["p.c"] > 0 && repaired == 0 {
		t.Error("no program had anything to be repaired: this tests nothing")
	}
}

// absent says what a build needs and is not there.
func absent(b build) string {
	need := []string{b.args[0]}
	if b.linker != "" {
		need = append(need, "ld."+b.linker)
	}
	for _, n := range need {
		if _, err := exec.LookPath(n); err != nil {
			return n
		}
	}
	return ""
}

func compiled(t *testing.T, dir string, b build) string {
	t.Helper()
	exe := filepath.Join(dir, "p")
	cmd := exec.Command(b.args[0], append(b.args[1:len(b.args):len(b.args)], "-o", exe, filepath.Join(dir, b.source))...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GO111MODULE=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", b.args, err, out)
	}
	content, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
