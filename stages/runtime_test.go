package stages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/probe"
	"bootstrap/internal/receipt"
)

// A prefix in runtime mode is complete by itself, and becomes a native one by the plain command.
func TestRuntime(t *testing.T) {
	t.Parallel()
	o := options(t, scratch(t))
	all := &recorder{}
	o.Sink, o.Runtime = all, true
	res, err := Execute(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"start fetch", "done fetch", "start host", "done host", "start runtime", "done runtime", "start prove", "done prove",
	}
	if diff := cmp.Diff(want, all.took()); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	l := o.Layout
	if res.Receipt.Mode != receipt.Runtime || !linksTo(l.DefaultProfile(), l.RuntimeDir()) {
		t.Errorf("mode %q, profile %s", res.Receipt.Mode, l.DefaultProfile())
	}
	conf := text(t, l.NixConf())
	for _, absent := range []string{"\nstore =", l.Packages} {
		if strings.Contains(conf, absent) {
			t.Errorf("nix.conf has %q\n%s", absent, conf)
		}
	}
	if !strings.Contains(conf, "\nsandbox-paths = /bin/sh="+filepath.Join(l.HostDir(), "sh")+"\n") {
		t.Errorf("nix.conf names no shell for sandboxes\n%s", conf)
	}
	if !strings.Contains(text(t, l.Certificates()), "Somebody") && text(t, l.Certificates()) == "" {
		t.Error("the certificates are empty")
	}

	again, err := Execute(deadline(t), o)
	if err != nil || !again.Nothing {
		t.Errorf("again: %v, nothing to do: %t", err, again != nil && again.Nothing)
	}
	o.Runtime = false
	p, err := Survey(deadline(t), o)
	if err != nil || !p.Complete() || p.Mode != receipt.Runtime {
		t.Errorf("survey: %v, complete: %t, mode %q", err, p.Complete(), p.Mode)
	}

	all.took()
	res, err = Execute(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all.took() {
		if e == "start host" {
			t.Error("the host nix is made anew")
		}
	}
	if res.Receipt.Mode != "" || exists(l.RuntimeDir()) || exists(l.HostDir()) {
		t.Errorf("mode %q, and the programs of runtime mode are there: %t, the host nix: %t",
			res.Receipt.Mode, exists(l.RuntimeDir()), exists(l.HostDir()))
	}
	program, err := filepath.EvalSymlinks(filepath.Join(l.DefaultProfile(), "bin/nix"))
	if err != nil || !strings.HasPrefix(program, l.Store+"/") {
		t.Errorf("the profile has %s: %v", program, err)
	}

	o.Runtime = true
	if _, err := Make(deadline(t), o); fault.KindOf(err) != fault.Usage {
		t.Errorf("back from a native nix: %v", err)
	}
}

// What is damaged is made anew, and nothing else.
func TestRuntimeIntact(t *testing.T) {
	t.Parallel()
	o := options(t, scratch(t))
	o.Runtime = true
	if _, err := Execute(deadline(t), o); err != nil {
		t.Fatal(err)
	}
	l := o.Layout
	program := filepath.Join(l.RuntimeDir(), "bin", "nix-env")
	good := text(t, program)
	for name, damage := range map[string]func() error{
		"a program": func() error { return os.WriteFile(program, []byte("exit 1\n"), 0o755) },
		"nix.conf":  func() error { return os.Remove(l.NixConf()) },
		"the link":  func() error { return os.Remove(l.DefaultProfile()) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		all := &recorder{}
		o.Sink = all
		if _, err := Execute(deadline(t), o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]string{"skip fetch", "skip host", "start runtime", "done runtime", "skip prove"}, all.took()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if text(t, program) != good {
			t.Errorf("%s: the program is not as it was", name)
		}
	}
}

func TestDiverted(t *testing.T) {
	t.Parallel()
	o := options(t, scratch(t))
	root := strings.TrimSuffix(o.Layout.Store, "/opt/store")
	o.Runtime, o.Diverted = true, "/opt/store"
	r := newRun(t, o)
	want := "local?root=" + root + "&real=" + o.Layout.Store + "&store=/opt/store&state=" + o.Layout.State + "&log=" + o.Layout.Log
	if got := r.storeURI(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r.facts.Namespaces = probe.Namespaces{Reason: "they are switched off"}
	if got := r.refuseDiverted(); len(got) != 1 || !strings.Contains(got[0].Error(), "they are switched off") {
		t.Errorf("without namespaces: %v", got)
	}
	r.facts.Namespaces = probe.Namespaces{Work: true}
	if got := r.refuseDiverted(); len(got) != 0 {
		t.Errorf("with namespaces: %v", got)
	}
}

// The paths of one store directory do not come into a store for another.
func TestModesDoNotMix(t *testing.T) {
	t.Parallel()
	o := options(t, scratch(t))
	o.Runtime = true
	if _, err := Execute(deadline(t), o); err != nil {
		t.Fatal(err)
	}
	o.Diverted = "/opt/store"
	if _, err := Make(deadline(t), o); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), o.Layout.Store) {
		t.Errorf("got %v", err)
	}
}

func TestEscapeParam(t *testing.T) {
	for in, want := range map[string]string{
		"/opt/store":   "/opt/store",
		"/a b&c=d%?+é": "/a%20b%26c%3Dd%25%3F%2B%C3%A9",
	} {
		if got := escapeParam(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
