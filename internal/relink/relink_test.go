package relink_test

import (
	"context"
	"debug/elf"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/relink"
)

const triplet = "x86_64-linux-gnu"

// loader is as much of a dynamic loader as [relink.Seal] looks at: its list of directories, and
// the files it reads, each among other text that must stay.
func loader() string {
	return "\x7fELF code\x00" +
		"/lib/x86_64-linux-gnu/\x00/usr/lib/x86_64-linux-gnu/\x00/lib/\x00/usr/lib/\x00" +
		"glibc-hwcaps\x00/etc/ld.so.cache\x00cannot open /etc/ld.so.cache here\x00/etc/ld.so.preload\x00/lib/other\x00"
}

func TestSeal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ld-linux-x86-64.so.2")
	if err := os.WriteFile(path, []byte(loader()), 0o755); err != nil {
		t.Fatal(err)
	}
	running, err := os.Open(path) // as a program that runs by it has it
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	if err := relink.Seal(path, triplet); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "\x7fELF code\x00" +
		"/dev" + strings.Repeat("/", 18) + "\x00/dev" + strings.Repeat("/", 22) + "\x00/dev/\x00/dev/////\x00" +
		"glibc-hwcaps\x00/dev/ld.so.cache\x00cannot open /etc/ld.so.cache here\x00/dev/ld.so.preload\x00/lib/other\x00"
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(data) != len(loader()) {
		t.Errorf("%d bytes, not the %d there were: what follows has moved", len(data), len(loader()))
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o755 {
		t.Errorf("mode %v, want 0755", got)
	}
	was, err := running.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if os.SameFile(info, was) {
		t.Error("the file was written over, although it may be running")
	}
	if got := dir(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
}

func TestSealRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, missing string }{
		{"another triplet", strings.ReplaceAll(loader(), triplet, "aarch64-linux-gnu"), "/lib/x86_64-linux-gnu/"},
		{"a loader without a cache", strings.ReplaceAll(loader(), "\x00/etc/ld.so.cache\x00", "\x00"), "/etc/ld.so.cache"},
		{"a loader that is sealed already", strings.ReplaceAll(loader(), "/lib/", "/dev/"), "/usr/lib/"},
		{"an empty file", "", "/lib/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ld.so")
			if err := os.WriteFile(path, []byte(tt.text), 0o755); err != nil {
				t.Fatal(err)
			}
			err := relink.Seal(path, triplet)
			if err == nil || !strings.Contains(err.Error(), tt.missing) {
				t.Errorf("error %v does not name %q", err, tt.missing)
			}
			if data, err := os.ReadFile(path); err != nil || string(data) != tt.text {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
	if err := relink.Seal(filepath.Join(t.TempDir(), "none"), triplet); !os.IsNotExist(err) {
		t.Errorf("a loader that is not there: %v", err)
	}
}

func TestRuntime(t *testing.T) {
	for _, tt := range []struct {
		name string
		file string // relative, where the loader is; a slash behind it makes a directory
		ok   bool
	}{
		{"in lib", "lib/x86_64-linux-gnu/ld.so", true},
		{"in usr/lib", "usr/lib/x86_64-linux-gnu/ld.so", true},
		{"for another processor", "usr/lib/aarch64-linux-gnu/ld.so", false},
		{"a directory of that name", "usr/lib/x86_64-linux-gnu/ld.so/", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, tt.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			make := func() error { return os.WriteFile(path, nil, 0o755) }
			if strings.HasSuffix(tt.file, "/") {
				make = func() error { return os.Mkdir(path, 0o755) }
			}
			if err := make(); err != nil {
				t.Fatal(err)
			}
			file, libraries, err := relink.Runtime(root, "ld.so", triplet)
			if (err == nil) != tt.ok {
				t.Fatalf("error %v", err)
			}
			if !tt.ok {
				return
			}
			if file != path {
				t.Errorf("loader %q, want %q", file, path)
			}
			want := filepath.Join(root, "lib", triplet) + ":" + filepath.Join(root, "usr/lib", triplet)
			if libraries != want {
				t.Errorf("libraries %q, want %q", libraries, want)
			}
		})
	}
}

func TestArchitectures(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		if relink.Triplet(arch) == "" || relink.Loader(arch) == "" {
			t.Errorf("nothing is known of %s", arch)
		}
	}
	if got := relink.Triplet("m68k") + relink.Loader("m68k"); got != "" {
		t.Errorf("m68k has %q", got)
	}
}

// TestTree has a stand-in for patchelf write down what it is told.
func TestTree(t *testing.T) {
	root := t.TempDir()
	libs, bin := filepath.Join(root, "lib"), filepath.Join(root, "bin")
	said := filepath.Join(root, "said")
	write(t, filepath.Join(root, "ld.so"), "#!/bin/sh\necho \"$*\" >>"+said+"\n")
	program, library := programOf(t), libraryOf(t)
	write(t, filepath.Join(bin, "nix"), program)
	write(t, filepath.Join(libs, "libz.so.1"), library)
	write(t, filepath.Join(libs, "libscript.so"), "/* GNU ld script */ INPUT(libz.so.1)\n")
	for _, untouched := range []string{"libc.so.6", "libm.so.6"} {
		write(t, filepath.Join(libs, untouched), library)
	}
	write(t, filepath.Join(libs, "ld-linux-x86-64.so.2"), loader())
	if err := os.Symlink("libz.so.1", filepath.Join(libs, "libz.so")); err != nil {
		t.Fatal(err)
	}
	tool := relink.Tool{
		Program: "/patchelf", Loader: filepath.Join(root, "ld.so"), Libraries: "/own/lib", Log: filepath.Join(root, "log"),
	}
	err := tool.Tree(context.Background(), relink.Options{
		Libraries: libs, Programs: []string{filepath.Join(bin, "nix")},
		Loader: "ld-linux-x86-64.so.2", Triplet: triplet, Parallel: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	sort.Strings(got)
	want := []string{
		"--library-path /own/lib /patchelf --set-interpreter " + libs + "/ld-linux-x86-64.so.2 --set-rpath " + libs + " " + bin + "/nix",
		"--library-path /own/lib /patchelf --set-rpath " + libs + " " + libs + "/libz.so.1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if sealed, _ := os.ReadFile(filepath.Join(libs, "ld-linux-x86-64.so.2")); !strings.Contains(string(sealed), "/dev/ld.so.cache") {
		t.Error("the loader is not sealed")
	}
}

func TestTreeFails(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "ld.so"), "#!/bin/sh\necho no room >&2\nexit 1\n")
	write(t, filepath.Join(root, "lib", "libz.so.1"), libraryOf(t))
	write(t, filepath.Join(root, "lib", "ld-linux-x86-64.so.2"), loader())
	tool := relink.Tool{Program: "/patchelf", Loader: filepath.Join(root, "ld.so"), Log: filepath.Join(root, "log")}
	err := tool.Tree(context.Background(), relink.Options{
		Libraries: filepath.Join(root, "lib"), Loader: "ld-linux-x86-64.so.2", Triplet: triplet,
	})
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("error %v does not have what patchelf said", err)
	}
}

// programOf and libraryOf return real files of this machine.
func programOf(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	return string(data)
}

func libraryOf(t *testing.T) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/*-linux-gnu/lib*.so.*", "/usr/lib64/lib*.so.*", "/usr/lib/lib*.so.*"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			if isLibrary(path) {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				return string(data)
			}
		}
	}
	t.Skip("this machine has no shared libraries")
	return ""
}

func isLibrary(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false
		}
	}
	needed, err := f.ImportedLibraries()
	return err == nil && len(needed) > 0
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func dir(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
