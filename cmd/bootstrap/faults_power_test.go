package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bootstrap/internal/journal"
	"bootstrap/stages"
)

// powerMishaps cut the power: of what was not flushed nothing is left but names. Nix's database and
// the journal are on the disk at every moment, so they speak of files that have no bytes.
func powerMishaps() []mishap {
	var all []mishap
	for _, stage := range stageNames()[1:] {
		all = append(all, mishap{
			name: "power/unflushed-" + stage, stage: stage,
			how:     "SIGKILL when all of the stage is written and nothing flushed; every file since its begin cut to nothing",
			outcome: "killed; what was cut is made anew",
			provoke: func(p *patient) {
				p.run("BOOTSTRAP_CRASH=" + stage + " built").wants(killed)
				p.powerCut(p.recorded(stage, journal.Begin))
			},
		})
	}
	for _, stage := range []string{stages.Toolchain, stages.Native} {
		all = append(all, mishap{
			name: "power/flushed-" + stage, stage: stage,
			how:     "SIGKILL right after the record `" + stage + " end`; every file since cut to nothing",
			outcome: "killed; nothing was cut, the stage is kept",
			provoke: func(p *patient) {
				p.run("BOOTSTRAP_CRASH=" + stage + " end").wants(killed)
				if cut := p.powerCut(p.recorded(stage, journal.End)); len(cut) > 0 {
					p.Errorf("it wrote after its end: %q", cut)
				}
				p.run("BOOTSTRAP_CRASH="+stage+" begin").wants(0, "(?m)^= "+stage+" +intact")
			},
		})
	}
	return append(all, mishap{
		name: "power/cache", stage: stages.Fetch, how: "SIGKILL right after the record `fetch end`; every file of the cache cut to nothing",
		outcome: "killed; all is fetched again",
		provoke: func(p *patient) {
			p.run("BOOTSTRAP_CRASH=fetch end").wants(killed)
			must(p.T, filepath.WalkDir(p.path("cache", "sha256"), func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					return os.Truncate(path, 0)
				}
				return err
			}))
		},
	})
}

// recorded returns when the last record of a stage was written.
func (p *patient) recorded(stage string, event journal.Event) time.Time {
	p.Helper()
	history, err := journal.Load(p.path("opt", "var", "bootstrap", "journal.jsonl"))
	must(p.T, err)
	last, ok := history.Last(stage)
	if !ok || last.Event != event {
		p.Fatalf("the last record of stage %s is %+v", stage, last)
	}
	return last.Time
}

// powerCut cuts every file of the prefix that was written since to nothing, and returns them. That is
// more than a power cut does, which spares what was fsynced by itself.
func (p *patient) powerCut(since time.Time) []string {
	p.Helper()
	var cut []string
	must(p.T, filepath.WalkDir(p.path("opt"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		changed := time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix())
		synced := strings.HasPrefix(path, p.path("opt", "var", "nix", "db")) ||
			path == p.path("opt", "var", "bootstrap", "journal.jsonl") || path == p.path("opt", "var", "bootstrap", "lock")
		if synced || !changed.After(since) {
			return nil
		}
		cut = append(cut, path)
		return os.Truncate(path, 0)
	}))
	return cut
}
