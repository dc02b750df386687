package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"

	"bootstrap/stages"
)

// damagedMishaps befall a complete installation: the plain command again has to make anew what is
// damaged, and nothing else.
func damagedMishaps() []mishap {
	return slices.Concat(damagedStore(), damagedDatabase(), damagedRecords(), damagedFiles(), repairMishaps())
}

// spoilt is a fault that damage makes of a complete installation, and after which the command again
// runs exactly the given stages.
func spoilt(name, stage, how, outcome string, damage func(p *patient), again ...string) mishap {
	return mishap{
		name: "damaged/" + name, stage: stage, how: how, outcome: outcome, whole: true,
		provoke: func(p *patient) {
			damage(p)
			p.run().wants(0).did(again...)
		},
	}
}

// output returns what a stage of the healthy installation has made.
func (p *patient) output(stage, name string) string {
	p.Helper()
	s, ok := p.healthy.receipt.Stage(stage)
	if !ok || s.Outputs[name] == "" {
		p.Fatalf("stage %s has no output %s", stage, name)
	}
	return s.Outputs[name]
}

// cut shortens a file of any mode to so many bytes.
func (p *patient) cut(path string, bytes int64) {
	p.Helper()
	p.change(path, func(data []byte) []byte { return data[:bytes] })
}

// change gives a file of any mode other bytes, without replacing it.
func (p *patient) change(path string, how func([]byte) []byte) {
	p.Helper()
	info, err := os.Stat(path)
	must(p.T, err)
	data, err := os.ReadFile(path)
	must(p.T, err)
	must(p.T, os.Chmod(path, 0o600))
	must(p.T, os.WriteFile(path, how(data), 0o600))
	must(p.T, os.Chmod(path, info.Mode().Perm()))
}

// drop removes something, wherever it is.
func (p *patient) drop(path string) {
	p.Helper()
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	must(p.T, err)
	must(p.T, os.Chmod(dir, 0o700))
	raze(p.T, path)
	must(p.T, os.Chmod(dir, info.Mode().Perm()))
}

// storePath returns the path of the store that ends in a name.
func (p *patient) storePath(suffix string) string {
	p.Helper()
	found, err := filepath.Glob(filepath.Join(p.store(), "*-"+suffix))
	if err != nil || len(found) != 1 {
		p.Fatalf("%q: %v, %v", suffix, found, err)
	}
	return found[0]
}

func damagedStore() []mishap {
	tool := func(p *patient) string { return p.output(stages.Toolchain, "toolchain") }
	program := func(dir string) string { return filepath.Join(dir, "bin", "toolchain") }
	native := []string{stages.Host, stages.Bootstrap, stages.Native}
	return []mishap{
		spoilt("store-path-emptied", stages.Toolchain, "everything in the toolchain's store path removed", "built again",
			func(p *patient) { p.drop(filepath.Join(tool(p), "bin")) }, stages.Host, stages.Toolchain),
		spoilt("store-path-gone", stages.Toolchain, "the toolchain's store path removed", "built again",
			func(p *patient) { p.drop(tool(p)) }, stages.Host, stages.Toolchain),
		spoilt("file-truncated", stages.Toolchain, "a file of the toolchain cut to half", "built again",
			func(p *patient) { p.cut(program(tool(p)), 4) }, stages.Host, stages.Toolchain),
		spoilt("file-of-no-bytes", stages.Toolchain, "a file of the toolchain cut to nothing, and registered as valid", "built again",
			func(p *patient) { p.cut(program(tool(p)), 0) }, stages.Host, stages.Toolchain),
		spoilt("nix-truncated", stages.Native, "the native nix's program cut to nothing", "built again, with the nix that builds it",
			func(p *patient) { p.cut(filepath.Join(p.output(stages.Native, "nix"), "bin", "nix"), 0) }, native...),
		spoilt("nix-altered", stages.Native, "a byte of the native nix's program altered, so that it runs", "built again, with the nix that builds it",
			func(p *patient) {
				p.change(filepath.Join(p.output(stages.Native, "nix"), "bin", "nix"), func(data []byte) []byte {
					return bytes.Replace(data, []byte("# Stands in"), []byte("# stands in"), 1)
				})
			}, native...),
		spoilt("derivation-torn", stages.Toolchain, "the toolchain emptied, and its derivation cut to nothing", "both are made again", func(p *patient) {
			p.cut(p.storePath("toolchain.drv"), 0)
			p.drop(filepath.Join(tool(p), "bin"))
		}, stages.Host, stages.Toolchain),
		spoilt("seed-in-store-torn", stages.Toolchain, "the toolchain emptied, and a package of the seed in the store cut to nothing", "added again, built again", func(p *patient) {
			p.cut(p.storePath("make_4.4.1-2_*.deb"), 0)
			p.drop(filepath.Join(tool(p), "bin"))
		}, stages.Host, stages.Toolchain),
	}
}

func damagedDatabase() []mishap {
	db := func(p *patient, name string) string { return p.path("opt", "var", "nix", "db", name) }
	// A new database knows no path, so all that the stages made is made again.
	again := stageNames()[1:5]
	return []mishap{
		spoilt("database-directory-gone", stages.Native, "the directory of the database removed", "all store paths made again",
			func(p *patient) { p.drop(filepath.Dir(db(p, "x"))) }, again...),
		spoilt("database-gone", stages.Native, "db.sqlite removed, its schema not", "reset, all store paths made again",
			func(p *patient) { p.drop(db(p, "db.sqlite")) }, again...),
		spoilt("database-emptied", stages.Native, "db.sqlite cut to nothing", "put aside, all store paths made again",
			func(p *patient) { p.cut(db(p, "db.sqlite"), 0) }, again...),
		spoilt("database-corrupted", stages.Native, "db.sqlite overwritten at its begin", "put aside, all store paths made again",
			func(p *patient) {
				p.change(db(p, "db.sqlite"), func(data []byte) []byte { return append([]byte("garbage"), data[7:]...) })
			}, again...),
		spoilt("database-malformed", stages.Native, "db.sqlite cut in its middle", "put aside, all store paths made again",
			func(p *patient) {
				p.change(db(p, "db.sqlite"), func(data []byte) []byte { return data[:len(data)-10] })
			}, again...),
		spoilt("schema-emptied", stages.Native, "the schema of the database cut to nothing", "put aside, all store paths made again",
			func(p *patient) { p.cut(db(p, "schema"), 0) }, again...),
	}
}

func damagedRecords() []mishap {
	work := func(p *patient, name string) string { return p.path("opt", "var", "bootstrap", name) }
	half := func(data []byte) []byte { return data[:len(data)/2] }
	return []mishap{
		spoilt("receipt-gone", "receipt", "receipt removed", "written again", func(p *patient) { p.drop(work(p, "receipt.json")) }),
		spoilt("receipt-cut", "receipt", "receipt cut in half", "written again", func(p *patient) { p.change(work(p, "receipt.json"), half) }),
		spoilt("receipt-emptied", "receipt", "receipt cut to nothing", "written again", func(p *patient) { p.cut(work(p, "receipt.json"), 0) }),
		{
			name: "damaged/receipt-newer", stage: "receipt", how: "receipt of a newer version", outcome: "refused, with what to do; 1", whole: true,
			provoke: func(p *patient) {
				must(p.T, os.WriteFile(work(p, "receipt.json"), []byte(`{"version": 99, "more": true}`), 0o644))
				p.run().wants(1, "newer bootstrap", "(?m)^hint: use a newer bootstrap")
			},
			heal: func(p *patient) { must(p.T, os.Remove(work(p, "generations/1/receipt.json"))) },
		},
		spoilt("journal-torn", "any", "half a line at the end of the journal", "left out",
			func(p *patient) {
				p.change(work(p, "journal.jsonl"), func(data []byte) []byte { return append(data, `{"time":"2026-`...) })
			}),
		spoilt("journal-zeros", "any", "zeros at the end of the journal", "left out",
			func(p *patient) {
				p.change(work(p, "journal.jsonl"), func(data []byte) []byte { return append(data, make([]byte, 512)...) })
			}),
		spoilt("journal-last-line-torn", stages.Prove, "last record of the journal cut in its middle", "that stage is done again",
			func(p *patient) {
				p.change(work(p, "journal.jsonl"), func(data []byte) []byte { return data[:len(data)-20] })
			}, stages.Prove),
		spoilt("journal-gone", "any", "journal removed", "all stages are done again, by what is there", func(p *patient) { p.drop(work(p, "journal.jsonl")) }, stageNames()...),
		{
			name: "damaged/journal-garbled", stage: "any", how: "a line in the middle of the journal overwritten", outcome: "refused, with what to do; 1", whole: true,
			provoke: func(p *patient) {
				p.change(work(p, "journal.jsonl"), func(data []byte) []byte { return append([]byte("garbage"), data[7:]...) })
				p.run().wants(1, "line 1: ", "(?m)^hint: the file was damaged; move it away")
			},
			heal: func(p *patient) {
				must(p.T, os.Rename(work(p, "journal.jsonl"), work(p, "journal.damaged")))
			},
		},
	}
}

func damagedFiles() []mishap {
	return []mishap{
		spoilt("profile-dangling", stages.Install, "the generation that the profile points to removed", "installed again", func(p *patient) {
			target, err := os.Readlink(p.output(stages.Install, "profile"))
			must(p.T, err)
			p.drop(filepath.Join(filepath.Dir(p.output(stages.Install, "profile")), target))
		}, stages.Install),
		spoilt("profile-gone", stages.Install, "profile link removed", "installed again",
			func(p *patient) { p.drop(p.output(stages.Install, "profile")) }, stages.Install),
		spoilt("root-gone", stages.Configure, "the GC root of the toolchain removed", "made again",
			func(p *patient) { p.drop(p.path("opt", "var", "nix", "gcroots", "bootstrap", "1", "toolchain")) }, stages.Configure),
		spoilt("conf-emptied", stages.Configure, "nix.conf cut to nothing", "written again",
			func(p *patient) { p.cut(p.path("opt", "etc", "nix", "nix.conf"), 0) }, stages.Configure),
		spoilt("env-file-cut", stages.Configure, "the file for POSIX shells cut to 10 bytes", "written again",
			func(p *patient) { p.cut(p.path("opt", "etc", "profile.d", "nix.sh"), 10) }, stages.Configure),
		spoilt("package-set-emptied", stages.Configure, "an expression of the package set cut to nothing", "written again",
			func(p *patient) { p.cut(p.path("opt", "share", "bootstrap", "packages", "default.nix"), 0) }, stages.Configure),
		spoilt("cache-emptied", stages.Fetch, "the files of the cache cut to nothing, and nothing else", "not needed, nothing is done", func(p *patient) {
			must(p.T, filepath.WalkDir(p.path("cache", "sha256"), func(path string, d os.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					return os.Truncate(path, 0)
				}
				return err
			}))
		}),
	}
}
