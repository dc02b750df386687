//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/journal"
	"bootstrap/internal/lock"

	"github.com/google/go-cmp/cmp"
)

// relocating is a prefix in /opt/store, and a binary cache of /nix/store that was made here by another Nix. Neither
// directory is there but in sandboxes: both prefixes have their files elsewhere.
type relocating struct {
	here, there *place // as the account has them
	set         string // the expressions
	key         signingKey
	cache       string // the cache's directory

	source string // the store path of a source that is in the cache, there

	mu    sync.Mutex
	asked map[string]bool                                                // what the server was asked for
	crime func(w http.ResponseWriter, r *http.Request, file string) bool // what the server does to an archive
}

// testRelocating fills a binary cache of /nix/store with compilers and programs, and has a prefix in /opt/store take
// from it what it can. What of it is tampered with, signed by somebody else or cut off is built.
func testRelocating(t *testing.T, p *place) {
	if cannotSandbox(self(t)) == nil {
		t.Log("skipped: a store for another place: user namespaces cannot be made here")
		return
	}
	home := p.w.home(t, "relocating")
	before, err := takeManifest(home)
	if err != nil {
		t.Fatal(err)
	}
	r := &relocating{
		here:  diverted(t, p.w, home, "/opt/store"),
		there: diverted(t, p.w, home, "/nix/store", "--allow-default-store"),
		set:   p.writeSet(t), cache: filepath.Join(p.scratch(t), "cache"), asked: map[string]bool{},
	}
	r.fill(t)
	server := httptest.NewServer(http.HandlerFunc(r.serve))
	defer server.Close()
	t.Run("without the key", func(t *testing.T) { r.withoutTheKey(t, server.URL) })
	t.Run("compilers and programs", func(t *testing.T) { r.everything(t, server.URL) })
	t.Run("crimes", func(t *testing.T) { r.crimes(t, server.URL) })
	t.Run("server", func(t *testing.T) { r.asServer(t, server.URL) })
	for _, q := range []*place{r.here, r.there} {
		q.program("uninstall", "--yes", "--allow-default-store").run(t).want(t, 0)
	}
	after, err := takeManifest(home)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("HOME is not as it was (-before +after):\n%s", diff)
	}
}

// diverted makes a prefix in runtime mode whose files are in HOME.
func diverted(t *testing.T, w *world, home, store string, more ...string) *place {
	t.Helper()
	root := filepath.Join(home, "image-of-"+filepath.Base(filepath.Dir(store)))
	asked := &place{w: w, home: home, account: w.user, store: store}
	asked.install("", append([]string{"--runtime", "--root", root}, more...)...).run(t).want(t, 0)
	return &place{w: w, home: home, account: w.user, store: filepath.Join(root, store)}
}

// writeSet writes the expressions of testdata/relocating.nix, with the prefix's package set and two programs of other
// compilers beside them.
func (p *place) writeSet(t *testing.T) string {
	t.Helper()
	dir := p.scratch(t)
	p.w.put(t, filepath.Join(dir, "default.nix"), string(read(t, filepath.Join("testdata", "relocating.nix"))))
	copyPackages(t, p.packages(), filepath.Join(dir, "packages"))
	programs := filepath.Join(dir, "programs")
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	// Places for two paths, which a derivation fills.
	own, data := "@own@"+strings.Repeat("x", 75), "@data@"+strings.Repeat("x", 74)
	work := t.TempDir()
	source := filepath.Join(work, "main.go")
	text := fmt.Sprintf("package main\n\nimport \"os\"\n\nvar own, data = %q, %q\n\nfunc main() { os.Stdout.WriteString(own + \" \" + data + \"\\n\") }\n", own, data)
	compile(t, source, text, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(programs, "go"), source)
	if _, err := exec.LookPath("rustc"); err != nil {
		t.Logf("skipped: a Rust program: %v", err)
	} else {
		source = filepath.Join(work, "main.rs")
		text = fmt.Sprintf("fn main() { println!(\"{} {}\", %q, %q); }\n", own, data)
		compile(t, source, text, "rustc", "-O", "-C", "strip=symbols", "-o", filepath.Join(programs, "rust"), source)
	}
	p.w.user.own(t, dir)
	return dir
}

func compile(t *testing.T, source, text string, argv ...string) {
	t.Helper()
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GO111MODULE=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
}

// copyPackages copies a package set, but for the directories that were chosen for its prefix.
func copyPackages(t *testing.T, from, to string) {
	t.Helper()
	from, err := filepath.EvalSymlinks(from) // a generation's
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(from, file)
		at := filepath.Join(to, name)
		switch {
		case d.IsDir():
			return os.MkdirAll(at, 0o755)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(file)
			if err != nil {
				return err
			}
			return os.Symlink(target, at)
		case d.Name() == "directories.json":
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(at, read(t, file), info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fill builds the set for /nix/store, and puts it and the source of GNU hello into the cache.
func (r *relocating) fill(t *testing.T) {
	t.Helper()
	begin := time.Now()
	seed := r.there.scratch(t)
	argv, hello := []string{"--add-fixed", "sha256"}, 0
	for _, e := range seedEntries(t) {
		if !slices.ContainsFunc(e.Roles, func(role lock.Role) bool {
			return role == lock.Toolchain || role == lock.Patchelf || role == lock.HelloSource
		}) {
			continue
		}
		if slices.Contains(e.Roles, lock.HelloSource) {
			hello = len(argv) - 2
		}
		file := filepath.Join(seed, strings.NewReplacer("~", "-", "%3a", "-", ":", "-").Replace(path.Base(e.Path)))
		if err := os.WriteFile(file, read(t, r.there.w.cached(e.SHA256)), 0o644); err != nil {
			t.Fatal(err)
		}
		argv = append(argv, file)
	}
	paths := strings.Fields(r.there.runtime(t, "nix-store", argv...).must(t))
	r.source = paths[hello]
	built := strings.Fields(r.there.runtime(t, "nix", "build", "--no-link", "--print-out-paths", "-f", r.set, "all", "data", "spares").must(t))
	// What is built with is not in the closure of all of it.
	tools := strings.Fields(r.there.runtime(t, "nix", "build", "--no-link", "--print-out-paths", "-f", filepath.Join(r.set, "packages"), "toolchain", "compiler").must(t))
	r.key = signingKey{secret: filepath.Join(r.there.scratch(t), "key")}
	nix := filepath.Join(r.there.root(), "var/nix/profiles/default/bin/nix")
	r.there.shell(t, "umask 077; "+nix+" key generate-secret --key-name cache-of-nix-store-1 >"+r.key.secret).must(t)
	r.key.public = strings.TrimSpace(r.there.shell(t, nix+" key convert-secret-to-public <"+r.key.secret).must(t))
	to := "file://" + r.cache + "?compression=zstd&secret-key=" + r.key.secret
	r.there.runtime(t, "nix", append([]string{"copy", "--to", to, r.source}, append(built, tools...)...)...).must(t)
	infos, err := filepath.Glob(filepath.Join(r.cache, "*.narinfo"))
	if err != nil || len(infos) < 40 {
		t.Fatalf("only %d paths are in the cache: %v", len(infos), err)
	}
	t.Logf("measured: a cache of /nix/store with %d paths: %s", len(infos), time.Since(begin).Round(time.Second))
}

// serve is the cache on the net.
func (r *relocating) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	crime := r.crime
	r.asked[req.URL.Path] = true
	r.mu.Unlock()
	file := filepath.Join(r.cache, filepath.FromSlash(path.Clean("/"+req.URL.Path)))
	if crime != nil && strings.HasPrefix(req.URL.Path, "/nar/") && crime(w, req, file) {
		return
	}
	http.ServeFile(w, req, file)
}

// build returns the command that builds attributes of the set from the cache.
func (r *relocating) build(url string, args ...string) command {
	return r.here.program(append([]string{"build", "-f", r.set, "--no-link", "--from", url}, args...)...)
}

// relocatedBuild is what `build --json` prints.
type relocatedBuild struct {
	Paths, Sources, Built []string
	Relocated             []struct{ Path string }
	Refused               []struct{ Path, Reason string }
}

func (r *relocating) built(t *testing.T, url string, args ...string) relocatedBuild {
	t.Helper()
	var b relocatedBuild
	out := r.build(url, append([]string{"--json", "--key", r.key.public}, args...)...).must(t)
	if err := json.Unmarshal([]byte(out), &b); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return b
}

func (r *relocating) withoutTheKey(t *testing.T, url string) {
	other := r.there.newRuntimeKey(t, "cache-of-nix-store-1")
	out := r.build(url, "check", "--dry-run", "--key", other).run(t).want(t, 0)
	if !strings.Contains(out.stdout, "\n0 from upstream relocated, ") || !strings.Contains(out.stderr, "by a key that was given") {
		t.Errorf("with a key of the same name that is another one:\n%s\n%s", out.stdout, out.tail())
	}
	r.here.program("build", "-f", r.set, "check", "--from", url, "--from-store", "/gnu/store", "--key", other).run(t).want(t, 2)
}

// newRuntimeKey returns the public half of a key that signs nothing.
func (p *place) newRuntimeKey(t *testing.T, name string) string {
	t.Helper()
	nix := filepath.Join(p.root(), "var/nix/profiles/default/bin/nix")
	return strings.TrimSpace(p.shell(t, nix+" key generate-secret --key-name "+name+" | "+nix+" key convert-secret-to-public").must(t))
}

// everything builds what runs all programs, and looks at what was taken for it.
func (r *relocating) everything(t *testing.T, url string) {
	begin := time.Now()
	b := r.built(t, url, "check")
	t.Logf("measured: %d paths of /nix/store relocated to /opt/store, %d sources, %d built, %d refused, in %s",
		len(b.Relocated), len(b.Sources), len(b.Built), len(b.Refused), time.Since(begin).Round(time.Second))
	for _, refused := range b.Refused {
		t.Logf("measured: not offered: %s: %s", filepath.Base(refused.Path), refused.Reason)
	}
	if len(b.Relocated) < 35 || len(b.Built) > 3 || len(b.Paths) != 1 {
		t.Fatalf("taken: %d, built: %q, refused: %v", len(b.Relocated), b.Built, b.Refused)
	}
	text := string(read(t, filepath.Join(filepath.Dir(r.here.root()), b.Paths[0])))
	for _, want := range []string{"-c-O0 /opt/store/", "-c-O3 /opt/store/", "-cxx /opt/store/", "-perl /opt/store/", "-python /opt/store/", "-go /opt/store/", "-openssl /opt/store/", greeting, "gcc (Debian"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in what the programs say:\n%s", want, text)
		}
	}
	if name, _, _ := strings.Cut(filepath.Base(r.source), "-"); len(b.Sources) > 0 && !r.asked["/"+name+".narinfo"] {
		t.Errorf("Nix has not asked the cache for the source %s", r.source)
	}
	if _, err := os.Lstat("/nix/store"); err == nil {
		t.Log("/nix/store is there on this machine; sandboxes do not show it")
	}
	r.here.runtime(t, "nix-store", "--verify", "--check-contents").run(t).want(t, 0)
	history, err := journal.Load(filepath.Join(r.here.root(), "var/bootstrap/relocated/provenance.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]map[string]string{}
	for _, record := range history.Records {
		recorded[record.Path] = record.Output
	}
	for _, i := range b.Relocated {
		p := recorded[i.Path]
		if !strings.HasPrefix(p["from"], "/nix/store/") || p["url"] != url || p["key"] != "cache-of-nix-store-1" || p["narHashBefore"] == "" {
			t.Errorf("%s: on record as %v", i.Path, p)
		}
		where := r.here.runtime(t, "nix", "path-info", "--sigs", i.Path).must(t)
		if !strings.Contains(where, "relocated-") || p["narHash"] == "" {
			t.Errorf("not by the prefix's own key: %s", where)
		}
		r.clean(t, i.Path)
	}
}

// clean makes sure that nothing in a path speaks of a path of /nix/store.
func (r *relocating) clean(t *testing.T, storePath string) {
	t.Helper()
	at := filepath.Join(filepath.Dir(r.here.root()), storePath)
	out, err := exec.Command("grep", "-raEl", "/nix/store/[0-9a-z]{32}-", at).CombinedOutput()
	if err == nil || len(out) > 0 {
		t.Errorf("%s: speaks of /nix/store: %s %v", storePath, out, err)
	}
}

// crimes has an archive changed, cut off, and never ending. What is asked for is built each time.
func (r *relocating) crimes(t *testing.T, url string) {
	for i, tt := range []struct {
		name, why string
		crime     func(w http.ResponseWriter, r *http.Request, file string) bool
		key       string
	}{
		{"tampered", "", func(w http.ResponseWriter, _ *http.Request, file string) bool {
			data, err := os.ReadFile(file)
			if err != nil {
				return false
			}
			data[len(data)/2] ^= 1
			_, _ = w.Write(data)
			return true
		}, ""},
		{"another archive", "its archive has", func(w http.ResponseWriter, r *http.Request, file string) bool {
			others, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
			for _, other := range others {
				if info, err := os.Stat(other); err == nil && other != file && info.Size() < 10_000 {
					http.ServeFile(w, r, other)
					return true
				}
			}
			return false
		}, ""},
		{"vanishes in the middle", "", func(w http.ResponseWriter, _ *http.Request, file string) bool {
			data, err := os.ReadFile(file)
			if err != nil {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:len(data)/2])
			panic(http.ErrAbortHandler)
		}, ""},
		{"wrong key", "by a key that was given", nil, r.there.newRuntimeKey(t, "cache-of-nix-store-1")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.mu.Lock()
			r.crime = tt.crime
			r.mu.Unlock()
			defer func() {
				r.mu.Lock()
				r.crime = nil
				r.mu.Unlock()
			}()
			if tt.key == "" {
				tt.key = r.key.public
			}
			out := r.build(url, "spares."+fmt.Sprint(i), "--key", tt.key).run(t).want(t, 0)
			made := strings.TrimSpace(out.stdout)
			if !strings.Contains(out.stderr, "spare-"+fmt.Sprint(i)+" is not offered: ") || !strings.Contains(out.stderr, tt.why) {
				t.Errorf("it does not say that it is not offered, and why:\n%s", out.tail())
			}
			r.madeHere(t, made, i)
		})
	}
	if left, err := filepath.Glob(filepath.Join(r.here.root(), "var/bootstrap/relocated/tmp/*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// madeHere makes sure that a spare was built, and is as it has to be.
func (r *relocating) madeHere(t *testing.T, made string, n int) {
	t.Helper()
	text := string(read(t, filepath.Join(filepath.Dir(r.here.root()), made, "file")))
	if want := fmt.Sprintf("%s %d\n", made, n); text != want {
		t.Errorf("%s says %q, not %q", made, text, want)
	}
	if where := r.here.runtime(t, "nix", "path-info", "--sigs", made).must(t); !strings.Contains(where, "ultimate") || strings.Contains(where, "relocated-") {
		t.Errorf("it was not built here: %s", where)
	}
}

// asServer has Nix take a path from `cache relocate`, with the options that it prints.
func (r *relocating) asServer(t *testing.T, url string) {
	server := r.here.program("cache", "relocate", "--json", "--from", url, "--key", r.key.public).start(t)
	var said struct{ Address, Key string }
	for range 100 {
		if json.Unmarshal([]byte(server.stdout.String()), &said) == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	out := r.here.runtime(t, "nix", "build", "--no-link", "--print-out-paths", "-f", r.set, "spares.7", "-v",
		"--option", "extra-substituters", said.Address+"?store=/opt/store", "--option", "extra-trusted-public-keys", said.Key).run(t).want(t, 0)
	made := strings.TrimSpace(out.stdout)
	if !strings.Contains(out.stderr, "copying path '"+made+"' from '"+said.Address) {
		t.Errorf("it was not taken from there:\n%s", out.tail())
	}
	if text := string(read(t, filepath.Join(filepath.Dir(r.here.root()), made, "file"))); text != made+" 7\n" {
		t.Errorf("%s says %q", made, text)
	}
	if err := server.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	server.wait(t).want(t, 0)
}
