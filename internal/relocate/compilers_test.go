package relocate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bootstrap/internal/relocate"
)

const rustProgram = `
use std::hint::black_box;
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

// TestCompiledByOthers: the same as [TestCompiled] for Go, and for Rust where it is installed. They put texts one behind
// the other, so that it may not be seen where a directory ends: that is refused.
func TestCompiledByOthers(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	exe := filepath.Join(dir, "p")
	commands := [][]string{{"go", "build", "-ldflags=-s -w", "-o", exe, write("p.go", goProgram)}}
	rust := write("p.rs", rustProgram)
	if _, err := exec.LookPath("rustc"); err == nil {
		for _, level := range []string{"0", "2", "s"} {
			commands = append(commands, []string{"rustc", "-C", "opt-level=" + level, "-C", "strip=debuginfo", "-o", exe, rust})
		}
	}
	right, refusals := 0, 0
	p := toStore + "/" + toA
	want := fmt.Sprintf("%s %s true true\n", p, p)
	for _, args := range commands {
		build := exec.Command(args[0], args[1:]...)
		build.Dir = dir
		build.Env = append(os.Environ(), "GO111MODULE=off", "GOFLAGS=")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		content, err := os.ReadFile(exe)
		if err != nil {
			t.Fatal(err)
		}
		got, report, err := run(t, relocate.Options{}, tree{"p": string(content)})
		if err != nil {
			refusals++
			t.Logf("%v: %v", args[:3], err)
			continue
		}
		if err := os.WriteFile(exe, []byte(got["p"]), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(exe, p).Output(); err != nil || string(out) != want {
			t.Errorf("%v: silently corrupted: %v\n%s\nnot\n%s", args, err, out, want)
			continue
		}
		right++
		if report.Counts[relocate.Rewritten]+report.Counts[relocate.Repaired] == 0 {
			t.Errorf("%v: nothing was found", args)
		}
	}
	t.Logf("measured: %d programs are right, %d refused", right, refusals)
	if right <= refusals {
		t.Error("most are refused")
	}
}
