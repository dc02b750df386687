package stages

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"text/template"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/nixconf"
	"bootstrap/internal/shellenv"
	"bootstrap/internal/shellrc"
	"bootstrap/templates"
)

// runtimeStage: runtime = (the host nix, pointed at the prefix by options)
//
// It takes the place of everything that compiles. What it makes is replaced by the native nix,
// and the store stays as it is.
//
// Key: the templates, the certificates, and which store directory it is for. As with configure,
// what trying things out came to is in the output.
// Output: nix, the program; store, the store directory it knows; profile, the link that shells find
// it by; sandbox, substituters, local, and the sha256 of every file written, by its path.
func runtimeStage() stage {
	return stage{
		name: Runtime, does: "point it at the prefix by its options",
		inputs: func(r *installation) (any, error) {
			conf, env, err := r.confInputs()
			if err != nil {
				return nil, err
			}
			programs, err := r.runtimePrograms(r.hostProgram())
			if err != nil {
				return nil, err
			}
			return []any{conf, env, programs, r.digests(r.lock.For(r.arch, lock.CACert))}, nil
		},
		intact: func(_ context.Context, r *installation, out outputs) bool {
			return r.filesIntact(out) && exists(out["nix"]) && linksTo(r.layout.DefaultProfile(), r.layout.RuntimeDir()) &&
				exists(r.layout.BuildDir()) && (!r.ShellHook || out["hooked"] == "true")
		},
		build: (*installation).makeRuntime,
	}
}

// storeDir returns the store directory as Nix knows it. The files are elsewhere where the prefix
// is one for another place.
func (r *installation) storeDir() string {
	if r.Diverted != "" {
		return r.Diverted
	}
	return r.layout.Store
}

// storeURI returns the store as Nix's --store has it.
// https://nix.dev/manual/nix/2.26/store/types/local-store
func (r *installation) storeURI() string {
	l := r.layout
	params := [][2]string{{"store", r.storeDir()}, {"state", l.State}, {"log", l.Log}}
	if r.Diverted != "" {
		root := strings.TrimSuffix(l.Store, r.Diverted)
		params = append([][2]string{{"root", root}, {"real", l.Store}}, params...)
	}
	uri := "local"
	for i, p := range params {
		uri += string("?&"[min(i, 1)]) + p[0] + "=" + escapeParam(p[1])
	}
	return uri
}

// escapeParam escapes what would end a parameter, and leaves paths readable.
func escapeParam(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("/._-", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// runtimeNames are the programs of Nix that take a store on the command line.
func runtimeNames() []string {
	return []string{
		"nix", "nix-build", "nix-channel", "nix-collect-garbage", "nix-copy-closure", "nix-env", "nix-hash",
		"nix-instantiate", "nix-prefetch-url", "nix-shell", "nix-store",
	}
}

// runtimePrograms renders the programs that run the host nix on the prefix, by their names.
func (r *installation) runtimePrograms(host string) (map[string][]byte, error) {
	t, err := template.New("").Option("missingkey=error").
		Funcs(template.FuncMap{"sh": shellrc.QuotePOSIX}).ParseFS(templates.Runtime(), "program.sh")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range runtimeNames() {
		bin := ""
		if name == "nix-channel" {
			bin = r.runtimeBin()
		}
		var b bytes.Buffer
		err := t.ExecuteTemplate(&b, "program.sh", map[string]string{
			"Program": name, "Shell": r.hostAshPath(), "Nix": host, "Store": r.storeDir(), "URI": r.storeURI(),
			"State": r.layout.State, "Conf": r.layout.Conf, "Bin": bin,
		})
		if err != nil {
			return nil, fmt.Errorf("program %q: %w", name, err)
		}
		files[name] = b.Bytes()
	}
	return files, nil
}

func (r *installation) runtimeBin() string { return filepath.Join(r.layout.RuntimeDir(), "bin") }

func (r *installation) makeRuntime(ctx context.Context) (outputs, error) {
	l := r.layout
	host := r.known(Host)
	if r.Diverted != "" && host["sandbox"] != "true" {
		return nil, fault.New(fault.Unfit, fmt.Errorf("store %q with its files elsewhere: that takes a sandbox: %s", r.Diverted, host["reason"]),
			"leave --root out, and choose a prefix that you may write to")
	}
	out := outputs{
		"nix": filepath.Join(r.runtimeBin(), "nix"), "profile": l.DefaultProfile(), "store": r.storeDir(),
		"sandbox": host["sandbox"], "substituters": nixconf.Public().URL,
	}
	files, err := r.runtimeFiles(ctx, out)
	if err != nil {
		return nil, err
	}
	if err := freshTree(l.RuntimeDir()); err != nil {
		return nil, err
	}
	if err := r.writeFiles(Runtime, files, out); err != nil {
		return nil, err
	}
	if err := r.mkdir(Runtime, journal.Directory, l.BuildDir(), 0o755); err != nil {
		return nil, err
	}
	if err := r.userDirs(Runtime); err != nil {
		return nil, err
	}
	if err := r.link(Runtime, l.RuntimeDir(), l.DefaultProfile()); err != nil {
		return nil, err
	}
	if r.ShellHook {
		if err := r.hookShells(); err != nil {
			return nil, err
		}
		out["hooked"] = "true"
	}
	return out, nil
}

// runtimeFiles returns the files to be written: the programs, nix.conf, those that shells source,
// and the certificates.
func (r *installation) runtimeFiles(ctx context.Context, out outputs) ([]shellenv.File, error) {
	l := r.layout
	programs, err := r.runtimePrograms(r.known(Host)["nix"])
	if err != nil {
		return nil, err
	}
	conf, err := r.foundConf(ctx, Runtime, out)
	if err != nil {
		return nil, err
	}
	files, err := shellenv.Files(l)
	if err != nil {
		return nil, err
	}
	authorities, err := r.seedAuthorities(ctx)
	if err != nil {
		return nil, err
	}
	bundle, err := r.certificates(Runtime, authorities)
	if err != nil {
		return nil, err
	}
	files = append(files,
		shellenv.File{Path: l.NixConf(), Content: conf, Mode: 0o644},
		shellenv.File{Path: l.Certificates(), Content: bundle, Mode: 0o644})
	for _, name := range runtimeNames() {
		files = append(files, shellenv.File{Path: filepath.Join(r.runtimeBin(), name), Content: programs[name], Mode: 0o755})
	}
	return files, nil
}

// seedAuthorities joins the certificates of the seed into one file, as the toolchain's builder does.
func (r *installation) seedAuthorities(ctx context.Context) ([]byte, error) {
	dir := filepath.Join(r.layout.TmpDir(), "certificates")
	if err := freshTree(dir); err != nil {
		return nil, err
	}
	const mozilla = "usr/share/ca-certificates/mozilla"
	keep := func(name string) bool { return strings.HasPrefix(name, mozilla+"/") }
	if err := r.unpack(ctx, r.lock.For(r.arch, lock.CACert), dir, keep); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, mozilla, "*.crt")) // sorted
	if err != nil {
		return nil, err
	}
	var bundle []byte
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			return nil, err
		}
		bundle = append(bundle, data...)
	}
	return bundle, removeTree(dir)
}

// installed returns the Nix that a person uses: the native one, or in runtime mode the programs
// that run the host nix. It reads its nix.conf and is told nothing besides.
func (r *installation) installed(stage string) nixcmd.Nix {
	program := filepath.Join(r.runtimeBin(), "nix")
	if !r.Runtime {
		program = nixcmd.Program(r.known(Native)["nix"])
	}
	n := nixcmd.Of(r.layout, r.User, program)
	n.Log = r.stageLog(stage)
	return n
}
