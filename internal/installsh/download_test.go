package installsh_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDownloadVerifyRun(t *testing.T) {
	downloaders := map[string]string{"curl": "curl", "wget": "wget"}
	for _, hash := range []string{"sha256sum", "shasum", "openssl"} {
		for _, downloader := range downloaders {
			t.Run(downloader+" "+hash, func(t *testing.T) {
				eachShell(t, func(t *testing.T, shell []string) {
					s := release(t)
					h := newHost(t, downloader)
					if hash == "shasum" { // it is a perl script, which wants its own name
						h.fake(t, hash, "exec "+look(t, hash)+` "$@"`)
						h.fake(t, "perl", "exec "+look(t, "perl")+` "$@"`)
					} else {
						h.fake(t, hash, "exec "+look(t, hash)+` "$@"`)
					}
					h.env = []string{"BOOTSTRAP_RELEASES=" + s.URL + "/v1/"}
					r := h.piped(t, shell, script(t), "--prefix", "/a b", "--yes", "")
					r.expect(t, 0)
					want := "ran " + h.home + "/.cache/bootstrap/bin/bootstrap\nargument <--prefix>\nargument </a b>\nargument <--yes>\nargument <>\n"
					if !strings.HasPrefix(r.stdout, want) {
						t.Errorf("(-want +got)\n%s", cmp.Diff(want, r.stdout))
					}
					if got := h.left(t); got != "bootstrap" {
						t.Errorf("the cache holds %q", got)
					}
				})
			})
		}
	}
}

func TestDownloadsOnce(t *testing.T) {
	s := release(t)
	h := newHost(t, "curl", "sha256sum")
	h.env = []string{"BOOTSTRAP_RELEASES=" + s.URL + "/v1"}
	shell := []string{look(t, "dash")}
	h.piped(t, shell, script(t), "--yes").expect(t, 0)
	s.asked()
	r := h.piped(t, shell, script(t), "--yes")
	r.expect(t, 0)
	if diff := cmp.Diff([]string{"/v1/SHA256SUMS"}, s.asked()); diff != "" || !strings.HasPrefix(r.stdout, "ran ") {
		t.Errorf("%s (-want +got)\n%s", r.stdout, diff)
	}
	// One that somebody changed is not run.
	kept := filepath.Join(h.home, ".cache/bootstrap/bin/bootstrap")
	if err := os.WriteFile(kept, []byte("#!/bin/sh\necho evil\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r = h.piped(t, shell, script(t), "--yes")
	r.expect(t, 0)
	if !strings.HasPrefix(r.stdout, "ran ") {
		t.Errorf("got %q", r.stdout)
	}
}

func TestPermissions(t *testing.T) {
	s := release(t)
	h := newHost(t, "curl", "sha256sum")
	h.env = []string{"BOOTSTRAP_RELEASES=" + s.URL + "/v1"}
	r := h.piped(t, []string{look(t, "dash"), "-c", "umask 027; exec dash -s -- --yes", "x"}, script(t))
	if r.code == 127 { // dash itself is not on the host
		h.fake(t, "dash", "exec "+look(t, "dash")+` "$@"`)
		r = h.run(t, look(t, "dash"), "-c", "umask 027; exec dash -s -- --yes")
	}
	r.expect(t, 0)
	if !strings.HasSuffix(r.stdout, "\n0027\n") {
		t.Errorf("the program's umask is not the caller's:\n%s", r.stdout)
	}
	for path, want := range map[string]os.FileMode{".cache/bootstrap/bin": 0o700, ".cache/bootstrap/bin/bootstrap": 0o700} {
		info, err := os.Stat(filepath.Join(h.home, path))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %o, want %o", path, got, want)
		}
	}
}

func TestBadReleases(t *testing.T) {
	good := sums(map[string]string{releaseName(): program})
	tests := map[string]struct {
		files map[string]string
		code  int
		says  []string
	}{
		"nothing there":      {nil, 1, []string{"SHA256SUMS\": failed", "hint: check the network"}},
		"no program":         {map[string]string{"SHA256SUMS": good}, 1, []string{releaseName() + "\": failed"}},
		"wrong bytes":        {map[string]string{"SHA256SUMS": good, releaseName(): "#!/bin/sh\necho evil\n"}, 4, []string{"sha256 is ", "nothing was run"}},
		"half a program":     {map[string]string{"SHA256SUMS": good, releaseName(): "half"}, 1, []string{"failed"}},
		"endless program":    {map[string]string{"SHA256SUMS": good, releaseName(): "endless"}, 1, []string{"failed"}},
		"endless sums":       {map[string]string{"SHA256SUMS": "endless"}, 1, []string{"failed"}},
		"another program":    {map[string]string{"SHA256SUMS": sums(map[string]string{"x-" + releaseName(): program, releaseName() + ".sig": ""}), releaseName(): program}, 4, []string{"does not name " + releaseName()}},
		"named twice":        {map[string]string{"SHA256SUMS": good + sums(map[string]string{releaseName(): "evil"}), releaseName(): program}, 4, []string{"once"}},
		"sums that are HTML": {map[string]string{"SHA256SUMS": "<html>log in</html>", releaseName(): program}, 4, []string{"does not name"}},
	}
	for _, downloader := range []string{"curl", "wget"} {
		for name, tt := range tests {
			t.Run(name+" "+downloader, func(t *testing.T) {
				t.Parallel()
				s := newServer(t, tt.files)
				h := newHost(t, downloader, "sha256sum")
				h.env = []string{"BOOTSTRAP_RELEASES=" + s.URL + "/v1"}
				text := strings.NewReplacer("limit=524288", "limit=2048", "--retry 3 ", "--retry 0 ", "wget -q", "wget -q -T 5 -t 1").Replace(script(t))
				r := h.piped(t, []string{look(t, "dash")}, text, "--yes")
				r.expect(t, tt.code, append(tt.says, "bootstrap: ", "hint: ")...)
				if r.stdout != "" {
					t.Errorf("something ran: %s", r.stdout)
				}
				if got := h.left(t); got != "" {
					t.Errorf("left in the cache: %s", got)
				}
			})
		}
	}
}

func TestSignature(t *testing.T) {
	keygen := look(t, "ssh-keygen")
	keys := newHost(t)
	keys.run(t, keygen, "-q", "-t", "ed25519", "-N", "", "-f", "key").expect(t, 0)
	keys.run(t, keygen, "-q", "-t", "ed25519", "-N", "", "-f", "other").expect(t, 0)
	public, err := os.ReadFile(filepath.Join(keys.home, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(key, text string) string {
		t.Helper()
		keys.stdin = text
		r := keys.run(t, keygen, "-Y", "sign", "-q", "-n", "bootstrap", "-f", key)
		r.expect(t, 0)
		return r.stdout
	}
	good := sums(map[string]string{releaseName(): program})
	tests := map[string]struct {
		signature string
		tools     []string
		code      int
		says      []string
	}{
		"good":        {sign("key", good), []string{"ssh-keygen"}, 0, nil},
		"another key": {sign("other", good), []string{"ssh-keygen"}, 4, []string{"bad signature"}},
		"other sums":  {sign("key", good+" "), []string{"ssh-keygen"}, 4, []string{"bad signature"}},
		"none":        {"", []string{"ssh-keygen"}, 1, []string{"SHA256SUMS.sig\": failed"}},
		"no tool":     {sign("key", good), nil, 3, []string{"ssh-keygen is not installed", "BOOTSTRAP_UNSIGNED=yes"}},
		"waived":      {sign("other", good), nil, 0, []string{"signature of the release is not checked"}},
		"not waived":  {sign("other", good), []string{"ssh-keygen"}, 4, []string{"bad signature"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"SHA256SUMS": good, releaseName(): program}
			if tt.signature != "" {
				files["SHA256SUMS.sig"] = tt.signature
			}
			s := newServer(t, files)
			h := newHost(t, append(tt.tools, "curl", "sha256sum")...)
			// As scripts/release does it.
			text := strings.Replace(script(t), "\nsigners=''\n", "\nsigners='bootstrap "+strings.TrimSpace(string(public))+"'\n", 1)
			text = strings.Replace(text, "\nrelease=''\n", "\nrelease='"+s.URL+"/v1'\n", 1)
			if strings.HasSuffix(name, "waived") {
				h.env = append(h.env, "BOOTSTRAP_UNSIGNED=yes")
			}
			r := h.piped(t, []string{look(t, "dash")}, text, "--yes")
			r.expect(t, tt.code, tt.says...)
			if ran := strings.HasPrefix(r.stdout, "ran "); ran != (tt.code == 0) {
				t.Errorf("got %q", r.stdout)
			}
		})
	}
}

func TestUnfitHosts(t *testing.T) {
	s := release(t)
	tests := map[string]struct {
		tools  []string
		change func(t *testing.T, h *host)
		code   int
		says   string
	}{
		"neither curl nor wget": {[]string{"sha256sum"}, nil, 3, "neither curl nor wget"},
		"no sha256":             {[]string{"curl"}, nil, 3, "none of sha256sum, shasum and openssl"},
		"another system": {[]string{"curl", "sha256sum"}, func(t *testing.T, h *host) {
			h.fake(t, "uname", "echo Plan9")
		}, 3, "Plan9: is not supported"},
		"another processor": {[]string{"curl", "sha256sum"}, func(t *testing.T, h *host) {
			h.fake(t, "uname", `[ "$1" = -s ] && echo Linux || echo pdp11`)
		}, 3, "pdp11: there is no release"},
		"no HOME": {[]string{"curl", "sha256sum"}, func(_ *testing.T, h *host) {
			h.env = append(h.env, "HOME=")
		}, 3, "hint: set XDG_CACHE_HOME"},
		"relative cache": {[]string{"curl", "sha256sum"}, func(_ *testing.T, h *host) {
			h.env = append(h.env, "XDG_CACHE_HOME=x")
		}, 3, "are not absolute"},
		"cache that is a file": {[]string{"curl", "sha256sum"}, func(_ *testing.T, h *host) {
			h.env = append(h.env, "XDG_CACHE_HOME=/dev/null")
		}, 3, "cannot be written to"},
		"noexec cache": {[]string{"curl", "sha256sum"}, func(t *testing.T, h *host) {
			h.fake(t, "chmod", `[ "$2" != "${2%/probe}" ] || exec `+look(t, "chmod")+` "$@"`)
		}, 3, "programs cannot run from it"},
		"not a URL": {[]string{"curl", "sha256sum"}, func(_ *testing.T, h *host) {
			h.env = append(h.env, "BOOTSTRAP_RELEASES=file:///etc")
		}, 2, "is not an http or https URL"},
		"no release known": {[]string{"curl", "sha256sum"}, func(_ *testing.T, h *host) {
			h.env = append(h.env, "BOOTSTRAP_RELEASES=")
		}, 1, "hint: set BOOTSTRAP_RELEASES"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, tt.tools...)
			h.env = []string{"BOOTSTRAP_RELEASES=" + s.URL + "/v1"}
			if tt.change != nil {
				tt.change(t, h)
			}
			r := h.piped(t, []string{look(t, "dash")}, script(t), "--yes")
			r.expect(t, tt.code, tt.says, "bootstrap: ", "hint: ")
			if r.stdout != "" || h.left(t) != "" {
				t.Errorf("ran %q, left %q", r.stdout, h.left(t))
			}
		})
	}
}
