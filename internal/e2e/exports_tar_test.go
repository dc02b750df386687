//go:build e2e

package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testExportTar imports hello into another place of the same store directory, which has the Nix of
// the prefix and nothing besides.
func testExportTar(t *testing.T, e *exports) {
	file, _ := e.same(t, "hello.tar.zst", "tar", e.hello)
	t.Logf("measured: hello as an archive: %d bytes", len(read(t, file)))
	r := e.other.program("import", file).run(t).want(t, 3)
	for _, store := range []string{e.p.layout(t).Store, e.other.layout(t).Store} {
		if !strings.Contains(r.stderr, `"`+store+`"`) {
			t.Errorf("it does not name %s:\n%s", store, r.tail())
		}
	}
	onlyRoot(t)
	second := e.secondPlace(t)
	data := read(t, file)
	for name, bad := range map[string][]byte{
		"cut":     data[:len(data)/2],
		"shorter": data[:len(data)-1],
		"changed": changed(data, len(data)/2),
		"longer":  append(bytes.Clone(data), "more"...),
		"empty":   nil,
	} {
		damaged := filepath.Join(e.dir, name+".tar.zst")
		if err := os.WriteFile(damaged, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		second.program("import", damaged).run(t).want(t, 4)
		second.hasNot(t, e.hello)
	}
	second.killedImport(t, e, data)

	out := second.program("import", file).must(t)
	if !strings.Contains(out, e.hello+"\n") || !strings.Contains(out, "Registered ") {
		t.Errorf("it does not say what was registered:\n%s", out)
	}
	if got := second.shell(t, e.hello+"/bin/hello").must(t); got != greeting {
		t.Errorf("hello says %q", got)
	}
	second.nix(t, "nix-store", "--verify-path", e.hello).must(t)
	want, got := e.p.pathInfos(t, "-r", e.hello), second.pathInfos(t, "-r", e.hello)
	if len(got) != len(want) {
		t.Errorf("%d store paths, not %d", len(got), len(want))
	}
	for path, w := range want {
		g := got[path]
		if g.NarHash != w.NarHash || g.NarSize != w.NarSize || !slices.Equal(g.References, w.References) || g.Deriver != w.Deriver {
			t.Errorf("%s: %+v, not %+v", path, g, w)
		}
	}
	if again := second.program("import", file).must(t); !strings.Contains(again, "Registered 0 store paths") {
		t.Errorf("imported again:\n%s", again)
	}
	second.byHand(t, e, file)
	built := strings.TrimSpace(second.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", second.proof(t, "exports-second")).must(t))
	if got := second.shell(t, `read -r line <`+built+`; echo "$line"`).must(t); got != "exports-second\n" {
		t.Errorf("built in the second place: %q", got)
	}
}

// byHand unpacks and registers an archive with tar and Nix alone, by the commands of docs/EXPORT.md.
func (p *place) byHand(t *testing.T, e *exports, file string) {
	t.Helper()
	p.nix(t, "nix-store", "--delete", e.hello).must(t)
	p.hasNot(t, e.hello)
	script := "PATH=" + filepath.Dir(p.programPath(t, "nix-store")) + ":/usr/bin:/bin\n"
	for line := range strings.Lines(string(read(t, "../../docs/EXPORT.md"))) {
		if command, ok := strings.CutPrefix(line, "    tar --zstd "); ok {
			script += strings.NewReplacer("hello.tar.zst", file, " opt/store", " "+strings.TrimPrefix(p.store, "/")).Replace("tar --zstd " + command)
		}
	}
	if strings.Count(script, file) != 2 {
		t.Fatalf("docs/EXPORT.md has other commands:\n%s", script)
	}
	p.shell(t, script).must(t)
	p.nix(t, "nix-store", "--verify-path", e.hello).must(t)
	if got := p.shell(t, e.hello+"/bin/hello").must(t); got != greeting {
		t.Errorf("unpacked by hand, hello says %q", got)
	}
}

func changed(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

// secondPlace makes a prefix with the Nix of the first and its store directory, as somebody has it
// on another machine. Only commands of that place see it.
func (e *exports) secondPlace(t *testing.T) *place {
	t.Helper()
	p, files := e.p, filepath.Join(e.dir, "second")
	for _, dir := range []string{"", "store", "var", "var/nix", "var/nix/builds", "var/log", "var/log/nix", "var/bootstrap", "var/bootstrap/tmp", "var/bootstrap/home"} {
		p.w.mkdir(t, filepath.Join(files, dir))
	}
	paths := strings.Fields(p.nix(t, "nix-store", "--query", "--requisites", p.native(t)).must(t))
	registration := p.nix(t, "nix-store", append([]string{"--dump-db"}, paths...)...).must(t)
	copies := func(to string, from ...string) {
		e.asRoot(slices.Concat([]string{"cp", "-a", "--target-directory=" + filepath.Join(files, to)}, from)...).must(t)
	}
	copies("store", paths...)
	copies("", filepath.Join(p.root(), "etc"), filepath.Join(p.root(), "share"))
	copies("var/bootstrap", p.journal(), filepath.Join(p.root(), "var/bootstrap/receipt.json"), filepath.Join(p.root(), "var/bootstrap/generations"))

	second := *p
	second.change = both(p.change, view(p.account, binding{files, p.root()}))
	load := second.nix(t, "nix-store", "--load-db")
	load.stdin = registration
	load.must(t)
	t.Cleanup(func() { remove(t, files) })
	return &second
}

// hasNot makes sure that a store path is neither valid nor there, nor on its way.
func (p *place) hasNot(t *testing.T, path string) {
	t.Helper()
	p.shell(t, "if test -e "+path+"; then exit 3; fi; if ls -A "+p.store+" | grep -e '^\\.import-' -e '\\.lock$'; then exit 4; fi").must(t)
	if r := p.nix(t, "nix-store", "--check-validity", path).run(t); r.code == 0 {
		t.Fatalf("%s is valid", path)
	}
}

// killedImport kills an import in the middle of the file.
func (p *place) killedImport(t *testing.T, e *exports, data []byte) {
	t.Helper()
	pipe := filepath.Join(e.dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	p.w.user.own(t, pipe)
	run := p.program("import", pipe).start(t)
	to, err := os.OpenFile(pipe, os.O_RDWR, 0) // for reading as well, so that it does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	written := make(chan error, 1)
	go func() {
		_, err := to.Write(data[:len(data)*3/4])
		written <- err
	}()
	staged := filepath.Join(e.dir, "second/store/.import-*")
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if found, err := filepath.Glob(staged); err != nil || len(found) > 0 {
			break
		}
		if !run.running() || time.Since(begin) > time.Minute {
			t.Fatalf("it stages nothing\n%s", run.wait(t).tail())
		}
	}
	if err := syscall.Kill(-run.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := run.wait(t); r.signal != syscall.SIGKILL {
		t.Fatalf("it ended by itself\n%s", r.tail())
	}
	if r := p.nix(t, "nix-store", "--check-validity", e.hello).run(t); r.code == 0 {
		t.Error("killed in the middle, it has registered something")
	}
}
