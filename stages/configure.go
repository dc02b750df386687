package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixconf"
	"bootstrap/internal/receipt"
	"bootstrap/internal/shellenv"
)

// configureStage: config = configure(native, prefix).
//
// Key: the templates, the package set, and the group that reads the prefix, if there is one. What trying out the sandbox, the upstream cache and the
// store of another Nix came to is in the output: it is found out when the stage runs.
// Output: sandbox, substituters, local (another Nix's store, as a substituter), where it has none of these the
// reason, and the sha256 of every file written, by its path.
func configureStage() stage {
	return stage{
		name: Configure, does: "write nix.conf and the files for shells",
		inputs: func(r *installation) (any, error) {
			conf, env, err := r.confInputs()
			if err != nil {
				return nil, err
			}
			sums, err := r.packageDigests()
			if err != nil {
				return nil, err
			}
			in := []any{conf, env, sums}
			if gid, ok := r.readers(); ok {
				in = append(in, gid)
			}
			return in, nil
		},
		intact: func(_ context.Context, r *installation, out outputs) bool {
			asked := r.CACert == "" || fileDigest(r.CACert) == fileDigest(r.layout.Authorities())
			return r.filesIntact(out) && asked && r.usesCaches() && r.havePackages() && exists(r.layout.BuildDir()) &&
				r.toolsRooted() && r.rooted(r.known(Native), "nix")
		},
		build: (*installation).configure,
		again: (*installation).configuredAgain,
	}
}

func (r *installation) configure(ctx context.Context) (outputs, error) {
	l := r.layout
	if err := r.writePackages(ctx, Configure); err != nil {
		return nil, err
	}
	out := outputs{"sandbox": r.trial()["sandbox"]}
	if out["sandbox"] != "true" {
		out[noSandbox] = r.trial()["reason"]
	}
	conf, err := r.foundConf(ctx, Configure, out)
	if err != nil {
		return nil, err
	}
	files, err := r.confFiles(ctx, conf)
	if err != nil {
		return nil, err
	}
	if err := r.writeFiles(Configure, files, out); err != nil {
		return nil, err
	}
	tools, names := r.tools()
	if err := r.useCaches(); err != nil {
		return nil, err
	}
	if err := r.root(Configure, tools, names...); err != nil {
		return nil, err
	}
	if err := r.root(Configure, r.known(Native), "nix"); err != nil {
		return nil, err
	}
	if err := r.mkdir(Configure, journal.Directory, l.BuildDir(), 0o755); err != nil {
		return nil, err
	}
	return out, nil
}

// confFiles returns the files of the stage, with that text of nix.conf.
func (r *installation) confFiles(ctx context.Context, conf []byte) ([]shellenv.File, error) {
	l := r.layout
	files, err := shellenv.Files(l)
	if err != nil {
		return nil, err
	}
	tools, _ := r.tools()
	authorities, err := r.authorities(ctx, tools)
	if err != nil {
		return nil, err
	}
	bundle, err := r.certificates(Configure, authorities)
	if err != nil {
		return nil, err
	}
	if _, grouped := r.readers(); grouped {
		// It comes before the file that makes everybody else a reader.
		writer, err := nixconf.RenderWriter(l)
		if err != nil {
			return nil, err
		}
		files = append(files, shellenv.File{Path: l.WriterConf(), Content: writer, Mode: 0o600})
	}
	return append(files,
		shellenv.File{Path: l.NixConf(), Content: conf, Mode: 0o644},
		shellenv.File{Path: l.Certificates(), Content: bundle, Mode: 0o644}), nil
}

// configuredAgain makes the text of every file once more, from what was found out when they were written, and
// compares it with what is recorded of them. Another program would not write the same.
func (r *installation) configuredAgain(s receipt.Stage) (remake, error) {
	if s.Key != r.keys[Configure] {
		return nil, fault.New(fault.Unfit, fmt.Errorf("--rebuild configure: in prefix %q another bootstrap than this has written the files", r.layout.Store),
			"use the release of bootstrap that `bootstrap provenance` names")
	}
	out := s.Outputs
	for _, o := range [][2]string{{"sandbox", noSandbox}, {"substituters", noSubstituters}, {"local", noLocal}} {
		if (out[o[0]] == "" || out[o[0]] == "false") && out[o[1]] == "" {
			return nil, r.tooOld(Configure, "the reason why nix.conf has no "+o[0])
		}
	}
	return func(ctx context.Context, tell func(name, path string, identical bool)) error {
		conf, err := r.nixConf(outputs{"sandbox": out["sandbox"], "reason": out[noSandbox]},
			sources{cacheReason: out[noSubstituters], local: out["local"], localReason: out[noLocal]})
		if err != nil {
			return err
		}
		if tools, _ := r.tools(); tools["cacert"] == "" { // then they are read from the seed
			if err := r.bringRoles(ctx, Configure, lock.CACert); err != nil {
				return err
			}
		}
		files, err := r.confFiles(ctx, conf)
		if err != nil {
			return err
		}
		for _, f := range files {
			sum := sha256.Sum256(f.Content)
			tell(filepath.Base(f.Path), f.Path, hex.EncodeToString(sum[:]) == out[f.Path])
		}
		return nil
	}, nil
}

// toolsRooted reports whether each of the tools has its GC root.
func (r *installation) toolsRooted() bool {
	tools, names := r.tools()
	return r.rooted(tools, names...)
}

// confInputs returns what nix.conf and the files for shells are made from, as part of a key.
func (r *installation) confInputs() (conf string, env []shellenv.File, err error) {
	text, err := r.nixConf(outputs{}, sources{})
	if err != nil {
		return "", nil, err
	}
	env, err = shellenv.Files(r.layout)
	return string(text), env, err
}

// writeFiles writes files, and puts the digest of each into the output of the stage.
func (r *installation) writeFiles(stage string, files []shellenv.File, out outputs) error {
	for _, f := range files {
		if err := r.writeFile(stage, f.Path, f.Content, f.Mode); err != nil {
			return err
		}
		out[f.Path] = fileDigest(r.at(f.Path))
	}
	return nil
}

// filesIntact reports whether the files that writeFiles wrote are as they were.
func (r *installation) filesIntact(out outputs) bool {
	for name, sum := range out {
		if strings.HasPrefix(name, "/") && fileDigest(r.seen(name)) != sum {
			return false
		}
	}
	return true
}

// certificates returns the authorities the prefix trusts: Debian's, and what the user adds.
func (r *installation) certificates(stage string, bundle []byte) ([]byte, error) {
	if r.CACert != "" {
		extra, err := readFile(r.CACert)
		if err != nil {
			return nil, fault.New(fault.Usage, err, "give --ca-cert the path of a file of certificates")
		}
		if err := r.writeFile(stage, r.layout.Authorities(), extra, 0o644); err != nil {
			return nil, err
		}
	}
	extra, err := readFile(r.layout.Authorities())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return append(bundle, extra...), nil
}

// authorities returns Debian's, from the store or the seed.
func (r *installation) authorities(ctx context.Context, tools outputs) ([]byte, error) {
	if made := tools["cacert"]; made != "" {
		return readFile(filepath.Join(made, "etc/ssl/certs/ca-bundle.crt"))
	}
	return r.seedAuthorities(ctx)
}

// fileDigest returns the sha256 of a file, or "" if it cannot be read.
func fileDigest(path string) string {
	data, err := readFile(path)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
