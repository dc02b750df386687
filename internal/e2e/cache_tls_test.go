//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// encrypted serves the cache by nginx with a certificate that nobody knows, as docs/CACHE.md has it:
// whoever is told of its authority pushes, installs and builds by it, and nobody else.
func (c *cached) encrypted(t *testing.T) {
	dir := c.p.scratch(t)
	authority := c.certificate(t, dir)
	var conf string
	if found := blocks(t, "nginx"); len(found) == 3 {
		conf = regexp.MustCompile(`(?m)^ *listen .*\n`).ReplaceAllLiteralString(found[0], found[1])
	} else {
		t.Fatalf("docs/CACHE.md has %d configurations of nginx", len(found))
	}
	server := c.serveAs(t, dir, conf)
	c.p.shell(t, "cp -a "+c.server.dir+"/cache/. "+dir+"/cache").must(t)

	// Without the authority.
	unknown := func(command command) {
		t.Helper()
		if r := command.run(t).want(t, 1); !strings.Contains(r.stderr, "its certificate cannot be trusted: ") || !strings.Contains(r.stderr, "\nhint: --ca-cert ") {
			t.Errorf("refused without saying why\n%s", r.tail())
		}
	}
	made := strings.TrimSpace(c.p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", c.p.proof(t, "encrypted-"+filepath.Base(dir))).must(t))
	netrc := c.p.layout(t).Netrc()
	c.p.w.put(t, netrc, "machine 127.0.0.1 login push password "+password+"\n")
	defer remove(t, netrc)
	unknown(c.push(server.url, made))
	unknown(c.p.program("cache", "use", server.url, "--key", c.key))
	second := c.empty(t, "encrypted")
	mirror := c.p.w.newSeedMirror(t).serve(t)
	unknown(c.from(t, second, mirror, server.url, c.key))

	// With it.
	c.push(server.url, made, "--ca-cert", authority).run(t).want(t, 0)
	install := c.from(t, second, mirror, server.url, c.key)
	install.argv = append(install.argv, "--ca-cert", authority)
	r := install.run(t).want(t, 0)
	t.Logf("measured: installed from a cache by https, with an authority of the test's own: %s", r.took.Round(100*time.Millisecond))
	c.sameAsBuilt(t, second)
	// The prefix knows it from now on: Nix, and the commands.
	if err := os.Remove(authority); err != nil {
		t.Fatal(err)
	}
	built := second.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", c.p.proof(t, "encrypted-"+filepath.Base(dir))).run(t).want(t, 0)
	if strings.TrimSpace(built.stdout) != made || !strings.Contains(built.stderr, "copying path") || strings.Contains(built.stderr, "building '") {
		t.Errorf("it was not taken from the cache\n%s", built.tail())
	}
	second.program("cache", "use", server.url, "--key", c.key).must(t)
	server.stop(t)
}

// certificate makes an authority, and a certificate of it for nginx in a directory. It returns the file
// of the authority.
func (c *cached) certificate(t *testing.T, dir string) string {
	t.Helper()
	openssl := lookPath(t, "openssl")
	authority := filepath.Join(dir, "authority.pem")
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=e2e authority", "-keyout", "authority.key", "-out", authority},
		{
			"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
			"-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
			"-CA", authority, "-CAkey", "authority.key", "-keyout", "certificate.key", "-out", "certificate.pem",
		},
	} {
		command{argv: append([]string{openssl}, args...), dir: dir, account: c.p.account, env: []string{"HOME=" + c.p.home}}.must(t)
	}
	return authority
}
