package relocate_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/relocate"
)

// program prints paths that compilers split in their own ways.
const program = `
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
	puts(by_pointer());
	strcpy(out, argv[1]);
	printf("%d %d\n", by_memcmp(out) == 0, by_strcmp(out) == 0);
	return 0;
}
`

// TestCompiled: what compilers make of paths is right afterwards, or refused. It needs a C compiler.
func TestCompiled(t *testing.T) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("there is no gcc")
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "p.c")
	if err := os.WriteFile(source, []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	repaired, refusals, wrong := 0, 0, 0
	for _, level := range []string{"-O0", "-O1", "-O2", "-O3", "-Os"} {
		for _, more := range []string{"", "-fuse-ld=gold", "-march=x86-64-v3"} {
			name := level + " " + more
			exe := filepath.Join(dir, "p")
			args := append(strings.Fields(name), "-w", "-o", exe, source)
			if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
				t.Logf("%s: %v: %s", name, err, out)
				continue
			}
			content, err := os.ReadFile(exe)
			if err != nil {
				t.Fatal(err)
			}
			got, report, err := run(t, relocate.Options{}, tree{"p": string(content)})
			if err != nil {
				refusals++
				t.Logf("%s: refused: %v", name, err)
				continue
			}
			if err := os.WriteFile(exe, []byte(got["p"]), 0o755); err != nil {
				t.Fatal(err)
			}
			p := toStore + "/" + toA
			want := fmt.Sprintf("%s\n%s\n%s/bin/sh\n%s/lib/x\nx=%s\n%s\n%s/etc\n1 1\n", p, p, p, p, p, p, p)
			out, err := exec.Command(exe, p).Output()
			if err != nil || string(out) != want {
				wrong++
				t.Errorf("%s: %v\n%s\nnot\n%s", name, err, out, want)
			} else if report.Counts[relocate.Repaired] > 0 {
				repaired++
			}
			must(t, relocate.Options{}, tree{"p": string(content)})
		}
	}
	t.Logf("measured: %d programs repaired, %d refused, %d wrong", repaired, refusals, wrong)
	if repaired == 0 {
		t.Error("no program had anything to be repaired: this tests nothing")
	}
}

// TestNoFalseAlarm: machine code without a mapped path is left as it is: this test's own, for one.
func TestNoFalseAlarm(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	m, err := relocate.NewMap(relocate.MapOptions{
		Store: relocate.Dir{From: "/opt/qqqqqqqq/store", To: "/srv/wwwwwwww/store"}, // spelled otherwise nowhere else
		Paths: map[string]string{strings.Repeat("4l", 16) + "-x": strings.Repeat("7n", 16) + "-x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	data := pack(t, tree{"self": string(content)})
	var out bytes.Buffer
	report, err := relocate.Relocate(&out, bytes.NewReader(data), relocate.Options{Map: m, TargetMayOccur: true})
	if report.Counts[relocate.Repaired] > 0 {
		t.Errorf("repaired: %v", report.Of(relocate.Repaired))
	}
	// This program has the directories in it, which is all that may be found.
	if err == nil && report.Counts[relocate.Rewritten] == 0 {
		t.Errorf("its own directories were not found: %v", report.Counts)
	}
	if err != nil {
		t.Logf("%v", err)
	}
}
