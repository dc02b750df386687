package e2e_test

import (
	"bufio"
	"cmp"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// access is one attempt to open or execute a file.
type access struct {
	program string // that the process was running; "" before its first
	path    string
	exec    bool
}

// call matches a traced system call up to its path: the first string among its arguments,
// with the directory that it is relative to before it.
var call = regexp.MustCompile(`^(\d+)\s+(open|openat|openat2|execve|execveat)\((?:[^"<]*<([^>]*)>[^"]*)?[^"]*"((?:[^"\\]|\\.)*)"`)

// parseTrace returns what was opened or executed, each once, in order.
func parseTrace(r io.Reader) ([]access, error) {
	programs := map[string]string{} // by process
	seen := map[access]bool{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := call.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		process, path := m[1], m[4]
		if !filepath.IsAbs(path) && m[3] != "" {
			path = filepath.Join(m[3], path)
		}
		a := access{programs[process], filepath.Clean(path), strings.HasPrefix(m[2], "exec")}
		seen[a] = true
		if text := lines.Text(); a.exec && (strings.HasSuffix(text, " = 0") || strings.HasSuffix(text, "<unfinished ...>")) {
			programs[process] = a.path
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b access) int {
		return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.program, b.program))
	}), lines.Err()
}

// below returns the accesses to one of the directories, or to what is in one. A directory that
// ends in "*" stands for all names that begin so: "/lib*".
func below(all []access, dirs ...string) []access {
	var found []access
	for _, a := range all {
		path := a.path
		for _, dir := range dirs {
			start, open := strings.CutSuffix(dir, "*")
			if path == dir || strings.HasPrefix(path, dir+"/") || open && strings.HasPrefix(path, start) {
				found = append(found, a)
				break
			}
		}
	}
	return found
}

func TestParseTrace(t *testing.T) {
	const text = `10 execve("/opt/store/nix/bin/nix", ["nix", "/usr/not/this"], 0x7ffd) = 0
10 execve("/bin/not-there", ["x"], 0x7ffd) = -1 ENOENT (No such file or directory)
10 openat(AT_FDCWD</home/a>, "/dev/lib/libc.so.6", O_RDONLY|O_CLOEXEC) = 3</dev/lib/libc.so.6>
11 openat(AT_FDCWD</home/a>, "../b/c", O_RDONLY) = -1 ENOENT (No such file or directory)
11 openat(5</usr/lib>, "libz.so.1", O_RDONLY <unfinished ...>
11 <... openat resumed>) = 3</usr/lib/libz.so.1>
12 open("/lib64/x\"y", O_RDONLY) = -1 ENOENT (No such file or directory)
12 +++ exited with 0 +++
`
	got, err := parseTrace(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	const nix = "/opt/store/nix/bin/nix"
	want := []access{
		{nix, "/bin/not-there", true},
		{nix, "/dev/lib/libc.so.6", false},
		{"", "/home/b/c", false},
		{"", `/lib64/x\"y`, false},
		{"", nix, true},
		{"", "/usr/lib/libz.so.1", false},
	}
	if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(access{})); diff != "" {
		t.Errorf("accesses (-want +got):\n%s", diff)
	}
	wantBelow := []access{{"", `/lib64/x\"y`, false}, {"", "/usr/lib/libz.so.1", false}}
	if diff := gocmp.Diff(wantBelow, below(got, "/usr/lib", "/lib*"), gocmp.AllowUnexported(access{})); diff != "" {
		t.Errorf("below (-want +got):\n%s", diff)
	}
	if got := below([]access{{path: "/libexec"}, {path: "/usr/library"}}, "/lib", "/usr/lib"); got != nil {
		t.Errorf("names that only begin alike count: %v", got)
	}
}
