package e2e_test

import (
	"bufio"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeCalls are the system calls that change what is at a path, and which of their paths count.
var writeCalls = map[string]string{
	"open": "flags", "openat": "flags", "openat2": "flags",
	"creat": "first", "mkdir": "first", "mkdirat": "first", "mknod": "first", "mknodat": "first",
	"unlink": "first", "unlinkat": "first", "rmdir": "first", "truncate": "first",
	"chmod": "first", "fchmodat": "first", "fchmodat2": "first",
	"chown": "first", "lchown": "first", "fchownat": "first",
	"utime": "first", "utimes": "first", "futimesat": "first", "utimensat": "first",
	"setxattr": "first", "lsetxattr": "first", "removexattr": "first", "lremovexattr": "first",
	"rename": "all", "renameat": "all", "renameat2": "all",
	"link": "last", "linkat": "last", "symlink": "last", "symlinkat": "last",
}

var (
	traced = regexp.MustCompile(`^(\d+)\s+(?:<\.\.\. )?(\w+)(\(| resumed>)(.*)`)
	// A path among the arguments, with the directory that it is relative to before it.
	argument = regexp.MustCompile(`(?:<([^<>]*)>(?:\(deleted\))?, )?"((?:[^"\\]|\\.)*)"`)
)

// parseWrites returns the paths that processes have tried to change, each once, in order.
// That something is there already is no change. dir is where relative names begin that have
// no directory with them.
func parseWrites(r io.Reader, dir string) ([]string, error) {
	var found []string
	pending := map[string][]string{} // by process: of the call that has not returned
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := traced.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		process, rest := m[1], m[4]
		var paths []string
		if m[3] == "(" {
			paths = writtenBy(m[2], rest, dir)
		} else {
			paths = pending[process]
			delete(pending, process)
		}
		switch {
		case strings.HasSuffix(rest, "<unfinished ...>"):
			pending[process] = paths
		case !strings.Contains(rest, " = -1 EEXIST "):
			found = append(found, paths...)
		}
	}
	for _, paths := range pending {
		found = append(found, paths...)
	}
	slices.Sort(found)
	return slices.Compact(found), lines.Err()
}

// writtenBy returns the paths that one call would change.
func writtenBy(name, args, dir string) []string {
	var paths []string
	for _, m := range argument.FindAllStringSubmatch(args, -1) {
		path := m[2]
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
			if m[1] != "" {
				path = filepath.Join(m[1], m[2])
			}
		}
		paths = append(paths, filepath.Clean(path))
	}
	if len(paths) == 0 {
		return nil
	}
	switch writeCalls[name] {
	case "flags":
		for _, flag := range []string{"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"} {
			if strings.Contains(args, flag) {
				return paths[:1]
			}
		}
	case "first":
		return paths[:1]
	case "last":
		return paths[len(paths)-1:]
	case "all":
		return paths
	}
	return nil
}

func TestParseWrites(t *testing.T) {
	const text = `10 execve("/opt/store/nix/bin/nix", ["nix"], 0x7ffd) = 0
10 openat(AT_FDCWD</w>, "/home/a/read", O_RDONLY|O_CLOEXEC) = 3</home/a/read>
10 openat(AT_FDCWD</w>, "/home/a/written", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 3</home/a/written>
10 openat2(3</home/a>, "how", {flags=O_RDWR, resolve=0}, 24) = 4
10 mkdir("/home/a/there", 0777) = -1 EEXIST (File exists)
10 mkdir("/home/a/.cache", 0777) = -1 EROFS (Read-only file system)
10 mkdir("relative", 0777) = 0
11 mkdir("/home/a/slow", 0777 <unfinished ...>
10 unlinkat(5</home/a/gone>(deleted), "x", 0) = 0
11 <... mkdir resumed>) = -1 EEXIST (File exists)
12 symlinkat("/target/not", 5</home/a>, "link") = 0
12 rename("/home/a/from", "/home/a/to") = 0
12 openat(AT_FDCWD</w>, "never-returned", O_RDWR <unfinished ...>
12 +++ killed by SIGKILL +++
`
	got, err := parseWrites(strings.NewReader(text), "/cwd")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/cwd/relative", "/home/a/.cache", "/home/a/from", "/home/a/gone/x", "/home/a/how",
		"/home/a/link", "/home/a/to", "/home/a/written", "/w/never-returned",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}
