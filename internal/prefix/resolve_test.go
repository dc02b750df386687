package prefix_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
)

// realTemp returns a temporary directory that has no symbolic link in its path and a short name.
func realTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func mkdir(t *testing.T, elems ...string) string {
	t.Helper()
	dir := filepath.Join(elems...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func symlink(t *testing.T, target, link string) string {
	t.Helper()
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	return link
}

func TestResolveNamesEveryDirectory(t *testing.T) {
	want := prefix.Layout{
		Root:     "/no-such-opt",
		Store:    "/no-such-opt/store",
		State:    "/no-such-opt/var/nix",
		Log:      "/no-such-opt/var/log/nix",
		Conf:     "/no-such-opt/etc/nix",
		Work:     "/no-such-opt/var/bootstrap",
		RunLog:   "/no-such-opt/var/log/bootstrap",
		Share:    "/no-such-opt/share/bootstrap",
		Packages: "/no-such-opt/share/bootstrap/packages",
		ProfileD: "/no-such-opt/etc/profile.d",
	}
	for _, path := range []string{
		"/no-such-opt/store", "/no-such-opt", "/no-such-opt/", "//no-such-opt/./store//", "/no-such-opt/x/../store",
	} {
		t.Run(path, func(t *testing.T) {
			got, err := prefix.Resolve(prefix.Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("layout (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolveTakesOverrides(t *testing.T) {
	for name, o := range map[string]prefix.Options{
		"the directories themselves": {StateDir: "/no-such-var/nix/", ConfDir: "/no-such-etc/nix"},
		"their parents":              {StateDir: "/no-such-var", ConfDir: "/no-such-etc/x/.."},
	} {
		t.Run(name, func(t *testing.T) {
			o.Path, o.LogDir = "/no-such-opt/store", "/no-such-log"
			got, err := prefix.Resolve(o)
			if err != nil {
				t.Fatal(err)
			}
			dirs := []string{got.State, got.Log, got.Conf, got.Work}
			if diff := cmp.Diff([]string{"/no-such-var/nix", "/no-such-log", "/no-such-etc/nix", "/no-such-opt/var/bootstrap"}, dirs); diff != "" {
				t.Errorf("directories (-want +got):\n%s", diff)
			}
		})
	}
}

// What Nix's build is given is the parent of the state directory, wherever links lead.
func TestResolveOfLinkedStateEndsInNix(t *testing.T) {
	dir := realTemp(t)
	mkdir(t, dir, "opt", "var")
	mkdir(t, dir, "scratch", "n")
	symlink(t, filepath.Join(dir, "scratch"), filepath.Join(dir, "opt", "var", "nix"))
	mkdir(t, dir, "odd")
	symlink(t, filepath.Join(dir, "scratch"), filepath.Join(dir, "odd", "nix"))
	symlink(t, filepath.Join(dir, "scratch", "n"), filepath.Join(dir, "scratch", "state"))
	mkdir(t, dir, "sly")
	mkdir(t, dir, "taken")
	symlink(t, filepath.Join(dir, "taken"), filepath.Join(dir, "sly", "nix"))
	symlink(t, filepath.Join(dir, "sly"), filepath.Join(dir, "tosly"))

	for given, want := range map[string]string{
		"":              "scratch/nix",
		"odd/nix":       "scratch/nix",
		"scratch/state": "scratch/n/nix",
		"opt/var":       "",
		"tosly":         "",
	} {
		t.Run(given, func(t *testing.T) {
			o := prefix.Options{Path: filepath.Join(dir, "opt", "store")}
			if given != "" {
				o.StateDir = filepath.Join(dir, given)
			}
			got, err := prefix.Resolve(o)
			if want == "" {
				checkFault(t, err, fault.Unfit, `which is not called "nix"`, "--state-dir")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.State != filepath.Join(dir, want) {
				t.Errorf("state = %q, want %q", got.State, want)
			}
		})
	}
}

func TestLocateFindsWhatResolveWouldRefuse(t *testing.T) {
	long := "/" + strings.Repeat("a", 70) + "/store"
	got, err := prefix.Locate(prefix.Options{Path: long, StateDir: "no/path"})
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Dir(long) + "/var/bootstrap/receipt.json"
	if got.Store != long || got.Receipt() != want {
		t.Errorf("store %q, receipt %q; want %q, %q", got.Store, got.Receipt(), long, want)
	}
	_, err = prefix.Locate(prefix.Options{Path: "opt/store"})
	checkFault(t, err, fault.Usage, "not an absolute path", "slash")
	_, err = prefix.Locate(prefix.Options{Path: "/nix/store"})
	checkFault(t, err, fault.Usage, "every other Nix", "--allow-default-store")
}

func TestResolveRefuses(t *testing.T) {
	tests := []struct {
		name    string
		options prefix.Options
		kind    fault.Kind
		want    string // in the message
		hint    string // in the hint
	}{
		{"empty", prefix.Options{}, fault.Usage, `prefix "": is empty`, "/opt/store"},
		{"relative", prefix.Options{Path: "opt/store", Cwd: "/home/a"}, fault.Usage, "not an absolute path", `"/home/a/opt/store"`},
		{"tilde", prefix.Options{Path: "~/store"}, fault.Usage, "not an absolute path", "$HOME"},
		{"root", prefix.Options{Path: "/"}, fault.Usage, "root of the file system", "/opt/store"},
		{"root spelled out", prefix.Options{Path: "/usr/.."}, fault.Usage, "root of the file system", "/opt/store"},
		{"store in the root", prefix.Options{Path: "/store"}, fault.Usage, "/var and /etc", "two deep"},
		{"not UTF-8", prefix.Options{Path: "/opt/\xff/store"}, fault.Usage, "not valid UTF-8", "UTF-8"},
		{"newline", prefix.Options{Path: "/opt/a\nb"}, fault.Usage, "control character U+000A", "letters"},
		{"NUL", prefix.Options{Path: "/opt/a\x00b"}, fault.Usage, "control character", "letters"},
		{"blank", prefix.Options{Path: "/opt/a b"}, fault.Usage, "#! lines end", "letters"},
		{"no-break space", prefix.Options{Path: "/opt/a\u00a0b"}, fault.Usage, "blank", "letters"},
		{"zero-width joiner", prefix.Options{Path: "/opt/a\u200db"}, fault.Usage, "invisible", "letters"},
		{"colon", prefix.Options{Path: "/opt/a:b"}, fault.Usage, `':'`, "letters"},
		{"dollar", prefix.Options{Path: "/opt/$x"}, fault.Usage, `'$'`, "letters"},
		{"comma", prefix.Options{Path: "/opt/a,b"}, fault.Usage, `','`, "letters"},
		{"the default store", prefix.Options{Path: "/nix/store"}, fault.Usage, "every other Nix", "--allow-default-store"},
		{"the default store by its parent", prefix.Options{Path: "/nix"}, fault.Usage, "every other Nix", "--allow-default-store"},
		{"inside the default store", prefix.Options{Path: "/nix/store/x/store", AllowDefaultStore: true}, fault.Unfit, `another store, "/nix/store"`, "garbage"},
		{"inside a store path", prefix.Options{Path: "/no-such/s/0123456789abcdfghijklmnpqrsvwxyz-a/store"}, fault.Unfit, `another store, "/no-such/s"`, "garbage"},
		{"relative state", prefix.Options{Path: "/opt/store", StateDir: "var"}, fault.Usage, `state directory "var": is not`, "slash"},
		{"root as state", prefix.Options{Path: "/opt/store", StateDir: "/"}, fault.Usage, "root of the file system", "--state-dir"},
		{"state in the store", prefix.Options{Path: "/opt/store", StateDir: "/opt/store/var"}, fault.Usage, "inside the store", "--state-dir"},
		{"store in the logs", prefix.Options{Path: "/opt/store", LogDir: "/opt"}, fault.Usage, "contains the store", "--log-dir"},
		{"logs are the state", prefix.Options{Path: "/opt/store", LogDir: "/opt/var/nix"}, fault.Usage, "is the state directory as well", "--log-dir"},
		{"conf in our own", prefix.Options{Path: "/opt/store", ConfDir: "/opt/var/bootstrap/x"}, fault.Usage, `inside "/opt/var/bootstrap"`, "--conf-dir"},
		{"state in another store", prefix.Options{Path: "/opt/store", StateDir: "/nix/store/var"}, fault.Unfit, "another store", "--state-dir"},
		{"a name of 300 bytes", prefix.Options{Path: "/" + strings.Repeat("a", 300)}, fault.Usage, "too long", "bytes shorter"},
		{"a log name of 300 bytes", prefix.Options{Path: "/opt/store", LogDir: "/" + strings.Repeat("a", 300)}, fault.Usage, "more than 255", "shorter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := prefix.Resolve(tt.options)
			checkFault(t, err, tt.kind, tt.want, tt.hint)
		})
	}
}

func checkFault(t *testing.T, err error, kind fault.Kind, want, hint string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if got := fault.KindOf(err); got != kind {
		t.Errorf("kind = %v, want %v (%v)", got, kind, err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error = %q, want %q in it", err, want)
	}
	if got := fault.HintOf(err); !strings.Contains(got, hint) {
		t.Errorf("hint = %q, want %q in it", got, hint)
	}
	if strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("error %q is not one line", err)
	}
}

func TestResolveAllowsTheDefaultStoreOnRequest(t *testing.T) {
	if _, err := os.Lstat("/nix"); err == nil {
		t.Skip("this host has a /nix, whose links decide")
	}
	got, err := prefix.Resolve(prefix.Options{Path: "/nix/store", AllowDefaultStore: true})
	if err != nil {
		t.Fatal(err)
	}
	if got.State != "/nix/var/nix" {
		t.Errorf("state = %q", got.State)
	}
}

func TestResolveAllowsLettersOfEveryScript(t *testing.T) {
	if _, err := prefix.Resolve(prefix.Options{Path: "/no-such/jörg/ストア"}); err != nil {
		t.Error(err)
	}
}

func TestResolveLength(t *testing.T) {
	store := func(n int) string { return "/" + strings.Repeat("a", n-len("//store")) + "/store" }
	for _, n := range []int{60, 66} {
		if _, err := prefix.Resolve(prefix.Options{Path: store(n)}); err != nil {
			t.Errorf("a store directory of %d bytes: %v", n, err)
		}
	}
	parent := "/" + strings.Repeat("a", 59)
	if _, err := prefix.Resolve(prefix.Options{Path: parent}); err != nil {
		t.Errorf("a parent of 60 bytes: %v", err)
	}

	tests := []struct {
		name       string
		options    prefix.Options
		want, hint string
	}{
		{"one too many", prefix.Options{Path: store(67)}, "a #! line would have 128 bytes and the limit is 127", "--prefix 1 byte shorter"},
		{"many too many", prefix.Options{Path: store(100)}, "a #! line would have 161 bytes", "--prefix 34 bytes shorter"},
		{"state moved", prefix.Options{Path: store(67), StateDir: "/no-such-state"}, "a #! line would have 128 bytes and the limit is 127", "--prefix 1 byte"},
		{"a long state", prefix.Options{Path: "/opt/store", StateDir: "/" + strings.Repeat("b", 65)}, "a socket would have 108 bytes", "--state-dir 1 byte shorter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := prefix.Resolve(tt.options)
			checkFault(t, err, fault.Usage, tt.want, tt.hint)
		})
	}
}

func TestResolveFollowsLinks(t *testing.T) {
	dir := realTemp(t)
	mkdir(t, dir, "real", "var")
	symlink(t, "real", filepath.Join(dir, "link"))
	symlink(t, filepath.Join(dir, "link"), filepath.Join(dir, "again"))
	mkdir(t, dir, "elsewhere")
	symlink(t, "../../elsewhere", filepath.Join(dir, "real", "var", "log"))
	mkdir(t, dir, "d", "store")
	symlink(t, "store", filepath.Join(dir, "d", "s"))

	tests := []struct{ name, path, store, from string }{
		{"a linked parent", "link/store", "real/store", "link/store"},
		{"a link to a link", "again/deep/er", "real/deep/er/store", "again/deep/er"},
		{"a parent above a link", "link/../x", "x/store", ""},
		{"a link to a store directory", "d/s", "d/store", "d/s"},
		{"no link", "real/store", "real/store", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := prefix.Resolve(prefix.Options{Path: dir + "/" + tt.path})
			if err != nil {
				t.Fatal(err)
			}
			from := ""
			if tt.from != "" {
				from = filepath.Join(dir, tt.from)
			}
			if got.Store != filepath.Join(dir, tt.store) || got.ResolvedFrom != from {
				t.Errorf("store %q from %q, want %q from %q", got.Store, got.ResolvedFrom, filepath.Join(dir, tt.store), from)
			}
			again, err := prefix.Resolve(prefix.Options{Path: got.Store})
			if err != nil {
				t.Fatal(err)
			}
			got.ResolvedFrom = ""
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("resolved again (-once +twice):\n%s", diff)
			}
		})
	}
	got, err := prefix.Resolve(prefix.Options{Path: filepath.Join(dir, "real")})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "elsewhere", "nix"); got.Log != want {
		t.Errorf("log = %q, want %q: links beside the store are followed too", got.Log, want)
	}
}

func TestResolveRefusesWhatItFinds(t *testing.T) {
	dir := realTemp(t)
	symlink(t, "nowhere", filepath.Join(dir, "dangling"))
	symlink(t, "loop", filepath.Join(dir, "loop"))
	mkdir(t, dir, "has blank")
	symlink(t, "has blank", filepath.Join(dir, "blank"))
	mkdir(t, dir, "real")
	mkdir(t, dir, "odd")
	symlink(t, "../real", filepath.Join(dir, "odd", "store"))
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	mkdir(t, dir, "other", "var", "nix", "db")
	mkdir(t, dir, "other", "store")
	symlink(t, filepath.Join(dir, "other", "store"), filepath.Join(dir, "sly"))

	tests := []struct {
		name, path string
		kind       fault.Kind
		want       string
	}{
		{"a dangling link", "dangling/store", fault.Unfit, "link to nowhere"},
		{"a looping link", "loop/store", fault.Unfit, "cannot be followed"},
		{"a link to a bad name", "blank/store", fault.Unfit, "which contains a blank"},
		{"a file on the way", "file/store", fault.Unfit, "not a directory"},
		{"inside another store", "other/store/x", fault.Unfit, "another store"},
		{"inside another store, by a link", "sly/x", fault.Unfit, "another store"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := prefix.Resolve(prefix.Options{Path: filepath.Join(dir, tt.path)})
			checkFault(t, err, tt.kind, tt.want, "")
			if fault.HintOf(err) == "" {
				t.Error("no hint")
			}
		})
	}
	if _, err := prefix.Resolve(prefix.Options{Path: filepath.Join(dir, "other", "store")}); err != nil {
		t.Errorf("the store itself, which is for the probe to judge: %v", err)
	}
	if got, err := prefix.Resolve(prefix.Options{Path: filepath.Join(dir, "odd", "store")}); err != nil {
		t.Error(err)
	} else if want := filepath.Join(dir, "real", "store"); got.Store != want {
		t.Errorf("store = %q, want %q", got.Store, want)
	}
}

func TestEnvFile(t *testing.T) {
	l, err := prefix.Resolve(prefix.Options{Path: "/no-such-opt/store"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, shell := range []string{"sh", "bash", "zsh", "fish", "csh", "tcsh"} {
		got[shell] = l.EnvFile(shell)
	}
	d := "/no-such-opt/etc/profile.d/"
	want := map[string]string{"sh": d + "nix.sh", "bash": d + "nix.sh", "zsh": d + "nix.sh", "fish": d + "nix.fish", "csh": d + "nix.csh", "tcsh": d + "nix.csh"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
