package main

import (
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/term"
)

// machine is all that the program gets from the outside.
type machine struct {
	args    []string // without the program's name
	getenv  func(string) string
	environ func() []string
	stdin   *os.File
	stdout  io.Writer
	stderr  *os.File
	program string // absolute path of this program; "" if it is not known
	cwd     string // "" if it is not known
	now     func() time.Time
	root    fs.FS   // the file system
	within  *within // what another process of this program has told; nil if there is none
}

func host() machine {
	program, _ := os.Executable()
	cwd, _ := os.Getwd()
	return machine{
		args: os.Args[1:], getenv: os.Getenv, environ: os.Environ,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		program: program, cwd: cwd, now: time.Now, root: os.DirFS("/"),
	}.takeWithin()
}

// isTerminal reports whether f is a terminal, and how wide it is.
func isTerminal(f *os.File) (yes bool, width int) {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return false, 0
	}
	width, _, err := term.GetSize(fd)
	if err != nil {
		return true, 0
	}
	return true, width
}

// utf8 reports whether the locale says that the terminal shows UTF-8 (POSIX.1-2017, 8.2:
// LC_ALL before LC_CTYPE before LANG).
func (m machine) utf8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := m.getenv(name); v != "" {
			return hasUTF8(v)
		}
	}
	return false
}
