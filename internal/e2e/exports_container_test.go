//go:build e2e

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mostHello is how large the image of hello may be.
const mostHello = 45 << 20

// testExportContainer makes an image of hello and runs it from scratch: with podman's load, since
// podman cannot start a container everywhere, and then with umoci and runc.
func testExportContainer(t *testing.T, e *exports) {
	file, said := e.same(t, "hello.tar", "container", "--label", "a=b", "--env", "X=y", e.hello)
	if size := len(read(t, file)); size > mostHello {
		t.Errorf("the image has %d bytes", size)
	} else {
		t.Logf("measured: the image of hello: %d bytes", size)
	}
	onlyRoot(t)
	digest := ""
	for line := range strings.Lines(said.stdout) {
		if found, ok := strings.CutPrefix(line, "sha256:"); ok {
			digest = "sha256:" + strings.Split(found, ",")[0]
		}
	}
	var inspected struct {
		Digest string
		Labels map[string]string
		Env    []string
		Os     string
	}
	lookPath(t, "skopeo")
	text := e.asRoot("skopeo", "inspect", "oci-archive:"+file).must(t)
	if err := json.Unmarshal([]byte(text), &inspected); err != nil {
		t.Fatalf("skopeo: %v\n%s", err, text)
	}
	if inspected.Digest != digest || inspected.Labels["a"] != "b" || inspected.Os != "linux" || strings.Join(inspected.Env, " ") != "X=y" {
		t.Errorf("skopeo sees %+v, and the digest is %s", inspected, digest)
	}
	// As docker's archive it is another manifest of the same layers.
	e.asRoot("skopeo", "inspect", "docker-archive:"+file).must(t)
	e.podmanLoads(t, file, "hello-2.10")
	b := e.unpacked(t, file, "hello")
	if got := b.run(t).want(t, 0).stdout; got != greeting {
		t.Errorf("from scratch hello says %q", got)
	}
	for _, name := range []string{"nix", "usr", "root", "home"} {
		if _, err := os.Lstat(filepath.Join(b.dir, "rootfs", name)); err == nil {
			t.Errorf("there is a /%s in the image", name)
		}
	}
}

// podmanLoads makes sure that podman takes an image, under that name.
func (e *exports) podmanLoads(t *testing.T, file, name string) {
	t.Helper()
	lookPath(t, "podman")
	at, err := os.MkdirTemp("/var/tmp", "b-podman-") // it takes 50 characters at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, at) })
	podman := func(args ...string) string {
		return e.asRoot(append([]string{
			"podman", "--root", at + "/root", "--runroot", at + "/run", "--storage-driver", "vfs",
		}, args...)...).must(t)
	}
	loaded := podman("load", "--input", file)
	if !strings.Contains(loaded, "/"+name+":") {
		t.Errorf("podman has loaded %q", loaded)
	}
	podman("rmi", "--all", "--force")
}

// bundle is what runc runs: a file system, and a configuration.
type bundle struct {
	e   *exports
	dir string
}

// unpacked unpacks an image as an engine does.
func (e *exports) unpacked(t *testing.T, file, name string) *bundle {
	t.Helper()
	lookPath(t, "umoci")
	lookPath(t, "runc")
	at := filepath.Join(e.dir, "oci-"+name)
	b := &bundle{e, filepath.Join(e.dir, "bundle-"+name)}
	e.asRoot("skopeo", "copy", "--quiet", "oci-archive:"+file, "oci:"+at+":it").must(t)
	e.asRoot("umoci", "unpack", "--image", at+":it", b.dir).must(t)
	t.Cleanup(func() { remove(t, b.dir); remove(t, at) })
	return b
}

// run runs a program in the file system, or what the image says if there is none. There are no
// limits of resources and no cgroup: a machine on which these tests run may lack the right to them.
func (b *bundle) run(t *testing.T, argv ...string) result {
	t.Helper()
	file := filepath.Join(b.dir, "config.json")
	config := map[string]any{}
	if err := json.Unmarshal(read(t, file), &config); err != nil {
		t.Fatal(err)
	}
	process, linux := config["process"].(map[string]any), config["linux"].(map[string]any)
	delete(process, "rlimits")
	process["terminal"] = false
	if len(argv) > 0 {
		process["args"] = argv
	}
	delete(linux, "cgroupsPath")
	delete(linux, "resources")
	var mounts []any
	for _, m := range config["mounts"].([]any) {
		if m.(map[string]any)["type"] != "cgroup" {
			mounts = append(mounts, m)
		}
	}
	config["mounts"] = mounts
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	name := "bootstrap-e2e-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	return b.e.asRoot("runc", "--root", filepath.Join(b.e.dir, "runc"), "run", "--bundle", b.dir, name).run(t)
}

// testExportWithNix builds in a container, as somebody without rights.
func testExportWithNix(t *testing.T, e *exports) {
	file, _ := e.same(t, "nix.tar", "container", "--with-nix", "--entrypoint", "nix", "--entrypoint", "--version")
	t.Logf("measured: the image with nix: %d bytes", len(read(t, file)))
	onlyRoot(t)
	lookPath(t, "skopeo")
	b := e.unpacked(t, file, "nix")
	if got := b.run(t).want(t, 0).stdout; !strings.HasPrefix(got, "nix (Nix) ") {
		t.Errorf("the entrypoint says %q", got)
	}
	if got := b.run(t, "/bin/sh", "-c", "echo $(/bin/nix eval --raw --expr builtins.storeDir) $HOME $USER; echo x >/tmp/x; echo x >$HOME/x").want(t, 0).stdout; got != e.p.store+" /home/nix nix\n" {
		t.Errorf("in the image: %q", got)
	}
	out := strings.TrimSpace(b.run(t, "/bin/nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr",
		`derivation { name = "inside"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo inside > $out" ]; }`).want(t, 0).stdout)
	built := filepath.Join(b.dir, "rootfs", out)
	if text := string(read(t, built)); text != "inside\n" {
		t.Errorf("built in the image: %q", text)
	}
	if a := owner(t, built); a.uid != 1000 || a.gid != 1000 {
		t.Errorf("it belongs to %d:%d", a.uid, a.gid)
	}
	b.run(t, "/bin/nix-store", "--verify", "--check-contents").want(t, 0)
	b.run(t, "/bin/nix-collect-garbage").want(t, 0)
	if _, err := os.Lstat(built); err == nil {
		t.Error("what nothing needs is not collected")
	}
	// What the image came with is kept, and still builds.
	b.run(t, "/bin/nix-build", "--no-out-link", "--expr",
		`derivation { name = "later"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo later > $out" ]; }`).want(t, 0)
}
