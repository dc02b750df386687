package shellrc_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/shellrc"

	"github.com/google/go-cmp/cmp"
)

func options(home, root string, shells ...shellrc.Shell) shellrc.Options {
	return shellrc.Options{
		Home:    home,
		Root:    root,
		EnvSh:   root + "/etc/profile.d/nix.sh",
		EnvFish: root + "/etc/profile.d/nix.fish",
		EnvCsh:  root + "/etc/profile.d/nix.csh",
		Shells:  shells,
	}
}

// snapshot returns what lies below dir: mode and content, or where a link leads.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		var content []byte
		switch {
		case info.Mode().IsRegular():
			content, err = os.ReadFile(path)
		case info.Mode()&fs.ModeSymlink != 0:
			var target string
			target, err = os.Readlink(path)
			content = []byte(target)
		}
		out[rel] = info.Mode().String() + " " + string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func add(t *testing.T, o shellrc.Options) []shellrc.Change {
	t.Helper()
	changes, err := shellrc.Add(o)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func remove(t *testing.T, o shellrc.Options, recorded ...shellrc.Change) []shellrc.Change {
	t.Helper()
	changes, err := shellrc.Remove(o, recorded)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func same(t *testing.T, want, got map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("home (-want +got):\n%s", diff)
	}
}

// homes are homes as people have them.
func homes(t *testing.T) map[string]func(home string) {
	return map[string]func(home string){
		"nothing there": func(string) {},
		"ordinary": func(home string) {
			write(t, home+"/.profile", "a\n", 0o644)
			write(t, home+"/.bashrc", "b\n", 0o640)
			write(t, home+"/.bash_profile", ". ~/.bashrc\n", 0o600)
			write(t, home+"/.zshenv", "c\n", 0o644)
			write(t, home+"/.cshrc", "d\n", 0o644)
		},
		"no line end": func(home string) {
			for _, name := range []string{".profile", ".bashrc", ".bash_login", ".zshenv", ".tcshrc", ".cshrc"} {
				write(t, home+"/"+name, "last line", 0o644)
			}
		},
		"empty files":     func(home string) { write(t, home+"/.profile", "", 0o644); write(t, home+"/.zshenv", "", 0o600) },
		"carriage return": func(home string) { write(t, home+"/.profile", "a\r\nb\r\n", 0o644) },
		"carriage return and no line end": func(home string) {
			write(t, home+"/.profile", "a\r\nb", 0o644)
		},
		"links": func(home string) {
			write(t, home+"/dot/profile", "a\n", 0o600)
			write(t, home+"/dot/sub/bashrc", "b", 0o644)
			_ = os.Symlink("dot/profile", home+"/.profile")
			_ = os.Symlink(home+"/dot/sub/bashrc", home+"/.bashrc")
		},
		"fish in use": func(home string) { write(t, home+"/.config/fish/conf.d/own.fish", "x\n", 0o644) },
		"not UTF-8":   func(home string) { write(t, home+"/.profile", "\xff\xfe\x00\n", 0o644) },
	}
}

func TestRemoveRestoresEveryByte(t *testing.T) {
	roots := []string{"/opt", "/opt/a b", "/opt/it's", "/opt2"}
	for name, make := range homes(t) {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			make(home)
			before := snapshot(t, home)
			for _, order := range [][]int{{0}, {0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}} {
				for _, root := range roots[:len(order)] {
					if len(add(t, options(home, root))) == 0 {
						t.Fatal("nothing was changed")
					}
				}
				for _, i := range order {
					if len(remove(t, options(home, roots[i]))) == 0 {
						t.Fatal("nothing was removed")
					}
				}
				same(t, before, snapshot(t, home))
			}
		})
	}
}

func TestAddTwiceIsAddOnce(t *testing.T) {
	for name, make := range homes(t) {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			make(home)
			add(t, options(home, "/opt"))
			once := snapshot(t, home)
			if changes := add(t, options(home, "/opt")); len(changes) != 0 {
				t.Errorf("changed again: %v", changes)
			}
			same(t, once, snapshot(t, home))
		})
	}
}

func TestWhichFilesAreChanged(t *testing.T) {
	fish := ".config/fish/conf.d/bootstrap-opt-cbcdfaeb.fish"
	tests := map[string]struct {
		have  []string
		shell shellrc.Shell
		want  []string
	}{
		"sh":                             {nil, shellrc.Sh, []string{".profile"}},
		"bash in an empty home":          {nil, shellrc.Bash, []string{".bashrc", ".profile"}},
		"bash with .bash_profile":        {[]string{".bash_profile", ".profile"}, shellrc.Bash, []string{".bash_profile", ".bashrc"}},
		"bash with .bash_login":          {[]string{".bash_login"}, shellrc.Bash, []string{".bash_login", ".bashrc"}},
		"zsh":                            {nil, shellrc.Zsh, []string{".zshenv"}},
		"fish":                           {nil, shellrc.Fish, []string{fish}},
		"csh in an empty home":           {nil, shellrc.Csh, []string{".cshrc"}},
		"tcsh with .tcshrc":              {[]string{".tcshrc"}, shellrc.Csh, []string{".tcshrc"}},
		"tcsh with .tcshrc beside csh's": {[]string{".tcshrc", ".cshrc"}, shellrc.Csh, []string{".cshrc", ".tcshrc"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			for _, f := range tt.have {
				write(t, filepath.Join(home, f), "x\n", 0o644)
			}
			var got []string
			for _, c := range add(t, options(home, "/opt", tt.shell)) {
				rel, _ := filepath.Rel(home, c.Path)
				got = append(got, rel)
				if c.Created == slices.Contains(tt.have, rel) {
					t.Errorf("%s: created is %v", rel, c.Created)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDirectoriesOfTheEnvironment(t *testing.T) {
	home := t.TempDir()
	o := options(home, "/opt", shellrc.Zsh, shellrc.Fish)
	o.ConfigHome = filepath.Join(home, "conf")
	o.ZDotDir = filepath.Join(home, "z")
	changes := add(t, o)
	want := []string{filepath.Join(home, "conf"), filepath.Join(home, "conf/fish"), filepath.Join(home, "conf/fish/conf.d")}
	if diff := cmp.Diff(want, changes[1].Dirs); diff != "" {
		t.Errorf("directories (-want +got):\n%s", diff)
	}
	if changes[0].Path != filepath.Join(home, "z/.zshenv") {
		t.Errorf("got %q", changes[0].Path)
	}
	// Another login has other variables: what the receipt recorded is found all the same.
	remove(t, options(home, "/opt"), changes...)
	same(t, map[string]string{}, snapshot(t, home))
}

func TestWhatThePersonDidStays(t *testing.T) {
	block := func(home string) string { return read(t, home+"/.profile") }
	tests := map[string]struct {
		before string
		edit   func(block string) string
		want   string
	}{
		"lines around":        {"a\n", func(b string) string { return "x\n" + b + "y\n" }, "x\na\ny\n"},
		"block moved up":      {"a\nb\n", func(b string) string { _, bl, _ := strings.Cut(b, "b\n"); return bl + "a\nb\n" }, "a\nb\n"},
		"appended, no end":    {"a", func(b string) string { return b + "y\n" }, "a\ny\n"},
		"indented":            {"a\n", func(b string) string { return strings.ReplaceAll(b, "# ", "\t # ") }, "a\n"},
		"made carriage":       {"a\n", func(b string) string { return strings.ReplaceAll(b, "\n", "\r\n") }, "a\r\n"},
		"made carriage, none": {"a\nb", func(b string) string { return strings.ReplaceAll(b, "\n", "\r\n") }, "a\r\nb"},
		"final newline cut":   {"a\n", func(b string) string { return strings.TrimSuffix(b, "\n") }, "a\n"},
		"block doubled":       {"a\n", func(b string) string { return b + strings.TrimPrefix(b, "a\n") }, "a\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			write(t, home+"/.profile", tt.before, 0o644)
			add(t, options(home, "/opt", shellrc.Sh))
			write(t, home+"/.profile", tt.edit(block(home)), 0o644)
			remove(t, options(home, "/opt"))
			if got := read(t, home+"/.profile"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCreatedFileWithMoreInItStays(t *testing.T) {
	home := t.TempDir()
	add(t, options(home, "/opt", shellrc.Sh))
	write(t, home+"/.profile", read(t, home+"/.profile")+"mine\n", 0o644)
	remove(t, options(home, "/opt"))
	if got := read(t, home+"/.profile"); got != "mine\n" {
		t.Errorf("got %q", got)
	}
}

func TestCreatedFileThatBecameALinkIsEmptied(t *testing.T) {
	home := t.TempDir()
	add(t, options(home, "/opt", shellrc.Sh))
	if err := os.Rename(home+"/.profile", home+"/real"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", home+"/.profile"); err != nil {
		t.Fatal(err)
	}
	remove(t, options(home, "/opt"))
	same(t, map[string]string{".profile": "Lrwxrwxrwx real", "real": "-rw-r--r-- "}, snapshot(t, home))
}

func TestOldBlockIsReplacedWhereItStands(t *testing.T) {
	home := t.TempDir()
	write(t, home+"/.profile", "a", 0o644)
	o := options(home, "/opt", shellrc.Sh)
	add(t, o)
	write(t, home+"/.profile", read(t, home+"/.profile")+"b\n", 0o644)
	o.EnvSh = "/opt/new.sh"
	if changes := add(t, o); len(changes) != 1 || changes[0].Created {
		t.Errorf("changes: %v", changes)
	}
	want := `a
# >>> bootstrap /opt >>>
# The line above had no line end.
if [ -r '/opt/new.sh' ]; then . '/opt/new.sh'; fi
# <<< bootstrap /opt <<<
b
`
	if diff := cmp.Diff(want, read(t, home+"/.profile")); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func TestTornBlockIsReportedAndLeft(t *testing.T) {
	const begin, end = "# >>> bootstrap /opt >>>\n", "# <<< bootstrap /opt <<<\n"
	tests := map[string]string{
		"no end":       "a\n" + begin + "x\nprecious\n",
		"no beginning": "a\n" + end + "precious\n",
		"begins twice": begin + "x\n" + begin + "y\n" + end,
	}
	for name, content := range tests {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			write(t, home+"/.profile", content, 0o644)
			write(t, home+"/.bashrc", "b\n", 0o644)
			changes, err := shellrc.Add(options(home, "/opt", shellrc.Sh, shellrc.Bash))
			if err == nil || fault.HintOf(firstOf(err)) == "" || !strings.Contains(err.Error(), ".profile") {
				t.Errorf("add: got %v", err)
			}
			if len(changes) != 1 || filepath.Base(changes[0].Path) != ".bashrc" {
				t.Errorf("the other file was not changed: %v", changes)
			}
			if _, err := shellrc.Remove(options(home, "/opt"), changes); err == nil {
				t.Error("remove: no error")
			}
			if got := read(t, home+"/.profile"); got != content {
				t.Errorf("file became %q", got)
			}
			if got := read(t, home+"/.bashrc"); got != "b\n" {
				t.Errorf("the other file became %q", got)
			}
		})
	}
}

// firstOf returns the first of joined errors.
func firstOf(err error) error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()[0]
	}
	return err
}

func TestFilesThatCannotBeChanged(t *testing.T) {
	tests := map[string]func(path string){
		"read-only":     func(path string) { write(t, path, "a\n", 0o444) },
		"directory":     func(path string) { _ = os.Mkdir(path, 0o755) },
		"dangling link": func(path string) { _ = os.Symlink("nowhere", path) },
		"link loop":     func(path string) { _ = os.Symlink(".profile", path) },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			make(home + "/.profile")
			before := snapshot(t, home)
			changes, err := shellrc.Add(options(home, "/opt", shellrc.Sh))
			if err == nil || len(changes) != 0 {
				t.Errorf("got %v, %v", changes, err)
			}
			if name == "read-only" && !errors.Is(err, fs.ErrPermission) {
				t.Errorf("got %v", err)
			}
			same(t, before, snapshot(t, home))
		})
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []shellrc.Options{
		options("", "/opt"), options("home", "/opt"), options("/h", ""), options("/h", "/opt\nrm -rf"),
	} {
		if _, err := shellrc.Add(o); err == nil {
			t.Errorf("%q %q was taken", o.Home, o.Root)
		}
	}
}

func TestShellOf(t *testing.T) {
	tests := map[string]shellrc.Shell{
		"/bin/sh": shellrc.Sh, "/usr/bin/dash": shellrc.Sh, "-bash": shellrc.Bash,
		"/bin/tcsh": shellrc.Csh, "/usr/bin/fish": shellrc.Fish, "zsh": shellrc.Zsh,
	}
	for program, want := range tests {
		if got, ok := shellrc.ShellOf(program); got != want || !ok {
			t.Errorf("%s: got %q, %v", program, got, ok)
		}
	}
	if _, ok := shellrc.ShellOf("/usr/bin/nologin"); ok {
		t.Error("nologin is a shell")
	}
}
