package main

import (
	"encoding/json"
	"fmt"
	"os"

	"bootstrap/stages"
)

// twoMishaps are others at work in the prefix, or said to be.
func twoMishaps() []mishap {
	all := []mishap{
		{
			name: "two/installers", stage: stages.Toolchain, how: "a second installer while the first is at work", outcome: "kept out, the first ends well; 5",
			provoke: func(p *patient) {
				first := p.start("BOOTSTRAP_CRASH=stop toolchain begin").stopped()
				p.run().wants(5, "held by pid", "(?m)^hint: wait for it to end")
				first.signal().wait().wants(0)
			},
		},
		{
			name: "two/uninstall", stage: stages.Native, how: "`uninstall` while an installer is at work", outcome: "kept out, the installer ends well; 5",
			provoke: func(p *patient) {
				first := p.start("BOOTSTRAP_CRASH=stop native begin").stopped()
				cmd := p.command("uninstall")
				cmd.Args = []string{"bootstrap", "uninstall", "--yes", "--prefix=" + p.store()}
				p.startCommand(cmd).wait().wants(5, "held by pid")
				first.signal().wait().wants(0)
			},
		},
		{
			name: "two/repair", stage: stages.Configure, how: "`repair` while an installer is at work", outcome: "kept out, the installer ends well; 5",
			provoke: func(p *patient) {
				first := p.start("BOOTSTRAP_CRASH=stop configure begin").stopped()
				p.startCommand(p.command("repair")).wait().wants(5, "held by pid")
				first.signal().wait().wants(0)
			},
		},
		{
			name: "two/lock-of-dead-pid", stage: "any", how: "the lock of a process that is gone", outcome: "taken over, with a warning; 0",
			provoke: func(p *patient) {
				p.run("BOOTSTRAP_CRASH=host begin").wants(killed)
				p.run().wants(0, `the lock of pid \d+, which is gone, was taken over`)
			},
		},
		{
			name: "two/lock-of-another-host", stage: "any", how: "the lock of a process of another host", outcome: "refused, with what to do; 5",
			provoke: func(p *patient) {
				p.run("BOOTSTRAP_CRASH=host begin").wants(killed)
				p.lockedBy(func(owner map[string]any) {
					owner["host"], owner["machine"], owner["boot"] = "elsewhere", "another", "another"
				})
				p.run().wants(5, "elsewhere", "(?m)^hint: ")
			},
			heal: func(p *patient) { must(p.T, os.Remove(p.path("opt", "var", "bootstrap", "lock"))) },
		},
	}
	for _, late := range []string{stages.Fetch, stages.Prove} {
		all = append(all, mishap{
			name: "two/takeover-" + late, stage: late, how: fmt.Sprintf("the first killed after `%s begin` while two others start", late), outcome: "one ends well, the other is kept out or finds all done",
			provoke: func(p *patient) {
				p.run("BOOTSTRAP_CRASH=" + late + " begin").wants(killed)
				a, b := p.start(), p.start()
				codes := map[int]int{}
				for _, run := range []*attempt{a, b} {
					codes[run.wait().cmd.ProcessState.ExitCode()]++
				}
				if codes[0] == 0 || codes[0]+codes[5] != 2 {
					p.Errorf("exit codes %v\n%s\n%s", codes, a.stderr.String(), b.stderr.String())
				}
			},
		})
	}
	return all
}

// lockedBy changes what the lock file says of its owner.
func (p *patient) lockedBy(change func(map[string]any)) {
	p.Helper()
	file := p.path("opt", "var", "bootstrap", "lock")
	data, err := os.ReadFile(file)
	must(p.T, err)
	var owner map[string]any
	must(p.T, json.Unmarshal(data, &owner))
	change(owner)
	data, err = json.Marshal(owner)
	must(p.T, err)
	must(p.T, os.WriteFile(file, data, 0o644))
}
