package relink

import (
	"os"
	"path/filepath"
	"testing"
)

// TestInspect looks at files of this machine; what a distribution lacks is left out.
func TestInspect(t *testing.T) {
	scratch := t.TempDir()
	for name, text := range map[string]string{
		"script": "/* GNU ld script */ GROUP ( libc.so.6 )\n", "empty": "", "cut": "\x7fELF\x02\x01\x01", "archive": "!<arch>\n",
	} {
		if err := os.WriteFile(filepath.Join(scratch, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, pattern string
		want          kind
	}{
		{"a program", "/bin/sh", program},
		{"a library", "/usr/lib/*-linux-gnu/libz.so.1", library},
		{"a library", "/usr/lib/*-linux-gnu/libstdc++.so.6", library},
		{"a dynamic loader", "/usr/lib/*-linux-gnu/ld-linux-*", other},
		{"a linker script", filepath.Join(scratch, "script"), other},
		{"an empty file", filepath.Join(scratch, "empty"), other},
		{"a static library", filepath.Join(scratch, "archive"), other},
	} {
		paths, err := filepath.Glob(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			t.Run(tt.name+" "+filepath.Base(path), func(t *testing.T) {
				got, err := inspect(path)
				if err != nil {
					t.Fatal(err)
				}
				if got != tt.want {
					t.Errorf("kind %d, want %d", got, tt.want)
				}
			})
		}
	}
	if _, err := inspect(filepath.Join(scratch, "cut")); err == nil {
		t.Error("a file that was cut off went unnoticed")
	}
	if _, err := inspect(filepath.Join(scratch, "none")); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// The test itself is one of the three, and can be run.
func TestInspectSelf(t *testing.T) {
	got, err := inspect("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if got == library {
		t.Error("a program that runs was taken for a library")
	}
}
