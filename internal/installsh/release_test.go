package installsh_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// top is the directory of the project.
const top = "../.."

// makeRelease runs scripts/release of a copy of the project. Modules and the build cache are those
// of whoever runs the tests.
func makeRelease(t *testing.T, dir, target string, env ...string) {
	t.Helper()
	cmd := exec.Command(look(t, "sh"), "-c", `umask "$UMASK" && exec scripts/release "$@"`, "sh", "1.2.3", "https://example.org/v1", target)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// files returns the digest and the mode of each file below a directory.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = fmt.Sprintf("%x %s", sha256.Sum256(data), info.Mode())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// copyProject copies what a release is made from.
func copyProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"cmd", "internal", "patches", "stages", "templates", "scripts"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(top, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestReleaseIsReproducible makes a release twice, in two directories, with another umask, time
// zone, locale and number of processors.
func TestReleaseIsReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the program for two architectures")
	}
	signers, key := signingKey(t)
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second place")
	makeRelease(t, copyProject(t), first, "UMASK=022", "SOURCE_DATE_EPOCH=1700000000", "TZ=UTC", "LC_ALL=C", signers, key)
	// What an older release has left there does not stay.
	stale := filepath.Join(second, "man", "man1", "bootstrap-gone.1")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	makeRelease(t, copyProject(t), second, "UMASK=077", "SOURCE_DATE_EPOCH=1700000000", "TZ=Pacific/Kiritimati", "LC_ALL=C.UTF-8", "GOMAXPROCS=1", "GOFLAGS=-v", signers, key)
	got := files(t, first)
	if diff := cmp.Diff(got, files(t, second)); diff != "" {
		t.Errorf("two runs differ (-first +second)\n%s", diff)
	}
	checkSums(t, first, got)
	checkManual(t, first)
	checkSBOM(t, first)
	checkInstalls(t, first)
}

// signingKey makes a key, and returns what scripts/release is told of it.
func signingKey(t *testing.T) (signers, key string) {
	t.Helper()
	dir := t.TempDir()
	file, list := filepath.Join(dir, "key"), filepath.Join(dir, "signers")
	if out, err := exec.Command(look(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	public, err := os.ReadFile(file + ".pub")
	if err == nil {
		err = os.WriteFile(list, append([]byte("bootstrap "), public...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "SIGNERS=" + list, "KEY=" + file
}

// checkInstalls has the directory served, and its script read from a pipe on a machine without Go, where
// the program that was downloaded has to run.
func checkInstalls(t *testing.T, dir string) {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	script, err := os.ReadFile(filepath.Join(dir, "install.sh"))
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://example.org/v1"
	if !strings.Contains(string(script), "\nrelease='"+url+"'\n") {
		t.Errorf("install.sh does not download from %s", url)
	}
	here := strings.Replace(string(script), url, server.URL, 1)
	for _, downloader := range []string{"curl", "wget"} {
		h := newHost(t, downloader, "sha256sum", "ssh-keygen")
		r := h.piped(t, []string{look(t, "dash")}, here, "--prefix", filepath.Join(h.home, "opt/store"), "--dry-run", "--mirror", "http://127.0.0.1:9")
		r.expect(t, 0, "downloading "+server.URL+"/"+releaseName())
		if !strings.Contains(r.stdout, filepath.Join(h.home, "opt/store")) {
			t.Errorf("there is no plan for the prefix:\n%s", r.stdout)
		}
		if got := h.left(t); got != "bootstrap" {
			t.Errorf("the cache holds %q", got)
		}
		if _, err := os.Stat(filepath.Join(h.home, "opt")); err == nil {
			t.Error("--dry-run has written something")
		}
		if r = h.piped(t, []string{look(t, "dash")}, here, "--version"); !strings.Contains(r.stdout+r.stderr, "1.2.3") {
			t.Errorf("it is not the version of the release:\n%s%s", r.stdout, r.stderr)
		}
	}
	// Sums that were changed have no good signature.
	sums := filepath.Join(dir, "SHA256SUMS")
	data, err := os.ReadFile(sums)
	if err == nil {
		err = os.WriteFile(sums, append(data, "\n"...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	newHost(t, "curl", "sha256sum", "ssh-keygen").piped(t, []string{look(t, "dash")}, here, "versions").expect(t, 4, "bad signature")
}

// checkSums looks whether all that is downloaded is in SHA256SUMS.
func checkSums(t *testing.T, dir string, got map[string]string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(data)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sums[name] = sum
	}
	for name, sum := range got {
		if name == "SHA256SUMS" || name == "SHA256SUMS.sig" || name == "install.sh" {
			continue
		}
		if digest, _, _ := strings.Cut(sum, " "); sums[name] != digest {
			t.Errorf("SHA256SUMS: %s has %q, want %q", name, sums[name], digest)
		}
		delete(sums, name)
	}
	if len(sums) > 0 {
		t.Errorf("SHA256SUMS names what is not there: %v", slices.Sorted(maps.Keys(sums)))
	}
}

// checkManual looks at pages of commands on each level, and at the completions.
func checkManual(t *testing.T, dir string) {
	t.Helper()
	for _, page := range []string{"bootstrap", "bootstrap-plan", "bootstrap-lock-diff", "bootstrap-patches-check", "bootstrap-verify"} {
		data, err := os.ReadFile(filepath.Join(dir, "man", "man1", page+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{`.TH "` + strings.ToUpper(page) + `" "1" "Nov 2023" "bootstrap 1.2.3"`, ".SH NAME\n", ".SH OPTIONS\n"} {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s: no %q in it", page, want)
			}
		}
		if page == "bootstrap" && !strings.Contains(string(data), ".SH EXIT STATUS\n") {
			t.Error("the page does not say how the program ends")
		}
	}
	if pages, _ := filepath.Glob(filepath.Join(dir, "man", "man1", "*internal*")); len(pages) > 0 {
		t.Errorf("pages of what is not for people: %v", pages)
	}
	for shell, file := range map[string]string{"bash": "bootstrap.bash", "zsh": "_bootstrap", "fish": "bootstrap.fish"} {
		program, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("not checked: %s is not installed", shell)
			continue
		}
		if out, err := exec.Command(program, "-n", filepath.Join(dir, "completions", file)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// checkSBOM looks for each module that the program links, and for nothing of the machine.
func checkSBOM(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(look(t, "go"), "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}{{end}}{{end}}", "./cmd/bootstrap")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := slices.Compact(slices.Sorted(strings.SplitSeq(strings.TrimSpace(string(out)), "\n")))
	if len(modules) < 10 {
		t.Fatalf("only %d modules: %v", len(modules), modules)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		data, err := os.ReadFile(filepath.Join(dir, "bootstrap-linux-"+arch+".sbom"))
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for _, module := range modules {
			if module != "" && !regexp.MustCompile(`(?m)^\tdep\t`+regexp.QuoteMeta(module)+`\th1:\S+$`).MatchString(text) {
				t.Errorf("%s: %q is not listed with its hash", arch, module)
			}
		}
		if !strings.HasPrefix(text, "bootstrap-linux-"+arch+": go") || strings.Contains(text, dir) || strings.Contains(text, "md2man") {
			t.Errorf("%s:\n%s", arch, text)
		}
	}
}

func TestReleaseRefuses(t *testing.T) {
	dir := copyProject(t)
	for name, tt := range map[string]struct {
		args []string
		env  []string
		want string
	}{
		"no version": {[]string{"", "https://example.org"}, nil, `VERSION ""`},
		"no URL":     {[]string{"1.0"}, nil, "usage: "},
		"bad date":   {[]string{"1.0", "https://example.org"}, []string{"SOURCE_DATE_EPOCH=yesterday"}, "SOURCE_DATE_EPOCH is not"},
		"no date":    {[]string{"1.0", "https://example.org"}, []string{"SOURCE_DATE_EPOCH=", "GIT_DIR=" + dir + "/none"}, "this is no git checkout"},
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "target")
			args := tt.args
			if len(args) == 2 {
				args = append(args, target)
			}
			cmd := exec.Command(filepath.Join(dir, "scripts", "release"), args...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), tt.env...)
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v\n%s", err, out)
			}
			if _, err := os.Stat(target); err == nil {
				t.Error("something was written")
			}
		})
	}
}
