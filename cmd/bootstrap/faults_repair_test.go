package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"

	"bootstrap/stages"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// repairMishaps are those that only a look at every byte finds, and what `bootstrap repair` makes of
// a prefix that nothing is wrong with.
func repairMishaps() []mishap {
	tool := func(p *patient) string { return p.output(stages.Toolchain, "toolchain") }
	altered := func(data []byte) []byte { return append([]byte("X"), data[1:]...) }
	return []mishap{
		repaired("nothing", "any", "`repair` where nothing is damaged", "nothing is found, nothing done; 0",
			func(*patient) stages.Repaired { return stages.Repaired{} }),
		repaired("byte-altered", stages.Toolchain, "a byte of the toolchain altered, its length kept, then `repair`", "found, built again; 0",
			func(p *patient) stages.Repaired {
				p.change(filepath.Join(tool(p), "bin", "toolchain"), altered)
				return stages.Repaired{Stages: []string{stages.Host, stages.Toolchain}}
			}),
		repaired("derivation-altered", "any", "a derivation altered, then `repair`", "found, written again; 0",
			func(p *patient) stages.Repaired {
				drv := p.storePath("compiler.drv")
				p.change(drv, func(data []byte) []byte { return append(data[:len(data)-2], 'X', ')') })
				return stages.Repaired{Paths: []stages.Damage{{Path: drv, Cured: "made anew"}}}
			}),
		repaired("seed-altered", "any", "a package of the seed in the store cut to nothing, then `repair`", "found, added again; 0",
			func(p *patient) stages.Repaired {
				deb := p.storePath("make_4.4.1-2_*.deb")
				p.cut(deb, 0)
				return stages.Repaired{Paths: []stages.Damage{{Path: deb, Cured: "made anew"}}}
			}),
		repaired("conf-altered", stages.Configure, "nix.conf altered, then `repair`", "found, written again; 0",
			func(p *patient) stages.Repaired {
				p.change(p.path("opt", "etc", "nix", "nix.conf"), altered)
				return stages.Repaired{Stages: []string{stages.Configure}}
			}),
		{
			name: "damaged/repair-compiled-unsandboxed", stage: stages.Native, whole: true, lacks: noNamespaces,
			how: "a file of the native nix altered, then `repair` where builds cannot be sandboxed", outcome: "found, built again at its own path; 0",
			provoke: func(p *patient) {
				p.change(filepath.Join(p.output(stages.Native, "nix"), "etc", "conf"), func(data []byte) []byte { return append(data, '\n') })
				p.inside(namespacesDenied, withoutCapabilities...)
				p.repair(0, stages.Repaired{Stages: []string{stages.Host, stages.Bootstrap, stages.Native}})
				p.wrap = nil
				p.repair(0, stages.Repaired{})
			},
			differs: []string{stages.Host},
		},
		{
			name: "damaged/repair-own-path-unsandboxed", stage: "any", lacks: noNamespaces,
			how: "a store path that the user has built altered, then `repair` where builds are not sandboxed", outcome: "found, and said to be damaged still; 4",
			provoke: func(p *patient) {
				p.inside(namespacesDenied, withoutCapabilities...)
				p.run().wants(0, "builds without a sandbox")
				foreignDamage(p, "thing")
				p.repair(4, stages.Repaired{Paths: []stages.Damage{{Path: p.storePath("thing")}}})
				p.wrap = nil
			},
			heal:    func(p *patient) { foreignGone(p, "thing") },
			differs: []string{stages.Host, stages.Configure},
		},
		foreignMishap("own-path-altered", "thing", "a store path that the user has built altered, then `repair`", "found, built again by Nix; 0", 0, "made anew"),
		foreignMishap("own-path-lost", "precious", "a store path altered that nobody can build, then `repair`", "found, and said to be damaged still; 4", 4, ""),
	}
}

// repaired damages a complete installation, and has to be told by the program what was damaged.
func repaired(name, stage, how, outcome string, damage func(*patient) stages.Repaired) mishap {
	return mishap{
		name: "damaged/repair-" + name, stage: stage, how: how, outcome: outcome, whole: true,
		provoke: func(p *patient) {
			want := damage(p)
			p.repair(0, want)
			p.repair(0, stages.Repaired{}) // nothing is left of it
		},
	}
}

// repair runs the verb, which has to end with that code and to say exactly that.
func (p *patient) repair(code int, want stages.Repaired) {
	p.Helper()
	a := p.startCommand(p.command("repair", "--json")).wait().wants(code)
	var got stages.Repaired
	must(p.T, json.NewDecoder(bytes.NewReader(a.stdout.Bytes())).Decode(&got))
	got.Receipt = nil
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		p.Errorf("found (-want +got):\n%s", diff)
	}
}

// foreignMishap alters a store path that the user has built, which is no output of any stage.
func foreignMishap(name, path, how, outcome string, code int, cured string) mishap {
	return mishap{
		name: "damaged/repair-" + name, stage: "any", how: how, outcome: outcome, whole: true, lacks: noNamespaces,
		provoke: func(p *patient) {
			foreignDamage(p, path)
			p.repair(code, stages.Repaired{Paths: []stages.Damage{{Path: p.storePath(path), Cured: cured}}})
		},
		heal: func(p *patient) { foreignGone(p, path) },
	}
}

// foreignDamage has Nix build something, and alters it.
func foreignDamage(p *patient, path string) {
	p.Helper()
	must(p.T, exec.Command(filepath.Join(p.output(stages.Native, "nix"), "bin", "nix"), "build", path).Run())
	p.change(filepath.Join(p.storePath(path), "bin", path), bytes.ToUpper)
}

// foreignGone has Nix delete it.
func foreignGone(p *patient, path string) {
	p.Helper()
	made := p.storePath(path)
	nix := filepath.Join(p.output(stages.Native, "nix"), "bin", "nix-store")
	must(p.T, exec.Command(nix, "--delete", made, p.storePath(path+".drv")).Run())
	if _, err := os.Lstat(made); err == nil {
		p.Fatalf("%q is still there", made)
	}
}
