package e2e_test

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// strangers returns what the ELF files below the directories take from outside of a store:
// an interpreter or a library path that is not in it, or a library with no path to find it by.
// It returns how many ELF files it has seen, too.
func strangers(store string, dirs []string) (found []string, files int, err error) {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			is, err := isELF(path)
			if err != nil || !is {
				return err
			}
			files++
			problems, err := strangersOf(store, path)
			found = append(found, problems...)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return found, files, nil
}

func isELF(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var magic [4]byte
	n, _ := f.Read(magic[:])
	return n == 4 && string(magic[:]) == elf.ELFMAG, nil
}

func strangersOf(store, path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	var found []string
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		data := make([]byte, p.Filesz)
		if _, err := p.ReadAt(data, 0); err != nil {
			return nil, fmt.Errorf("%s: interpreter: %w", path, err)
		}
		if interp := string(bytes.TrimRight(data, "\x00")); !strings.HasPrefix(interp, store+"/") {
			found = append(found, fmt.Sprintf("%s: interpreter %s", path, interp))
		}
	}
	var search []string
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		// An executable that is not dynamic has no such section, which is no error here.
		values, _ := f.DynString(tag)
		for _, v := range values {
			search = append(search, strings.Split(v, ":")...)
		}
	}
	for _, dir := range search {
		if !strings.HasPrefix(dir, store+"/") {
			found = append(found, fmt.Sprintf("%s: library path %q", path, dir))
		}
	}
	needed, _ := f.ImportedLibraries()
	for _, name := range needed {
		// The C library's own files need each other and the loader, and find them already loaded.
		if len(search) == 0 && !strings.HasPrefix(name, "ld-linux") && name != "libc.so.6" {
			found = append(found, fmt.Sprintf("%s: needs %s and has no library path", path, name))
		}
	}
	return found, nil
}

// TestStrangers looks at a program of this machine, which is not in a store.
func TestStrangers(t *testing.T) {
	dir := t.TempDir()
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Skip("no /bin/sh here")
	}
	data, err := os.ReadFile(shell)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sh"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	found, files, err := strangers("/opt/store", []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if libraries, _ := f.ImportedLibraries(); len(libraries) == 0 {
		t.Skip("the /bin/sh of this machine is static")
	}
	if files != 1 || len(found) == 0 || !strings.Contains(found[0], "interpreter /lib") {
		t.Errorf("%d files, found %q", files, found)
	}
}
