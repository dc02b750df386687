package main

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"bootstrap/stages"
)

// stageNames are the stages of an installation, in order.
func stageNames() []string {
	return []string{
		stages.Fetch, stages.Host, stages.Toolchain, stages.Bootstrap, stages.Native,
		stages.Configure, stages.Install, stages.Prove,
	}
}

// killMishaps end the installer before its time: at every record of the journal, and at random
// moments between them.
func killMishaps() []mishap {
	all := []mishap{killedAt("create", "any"), interruptedAt("create", "any")}
	for _, stage := range stageNames() {
		moments := []string{"begin", "flushed", "end"}
		if stage == stages.Fetch {
			moments = []string{"begin", "end"} // it flushes file by file
		}
		for _, moment := range moments {
			all = append(all, killedAt(stage+" "+moment, stage), interruptedAt(stage+" "+moment, stage))
		}
		all = append(all, struckIn(stage, "SIGKILL", syscall.SIGKILL, killed), struckIn(stage, "SIGINT", syscall.SIGINT, 130))
	}
	return all
}

// hyphened makes of a point of the journal the last part of a name.
func hyphened(point string) string {
	name := []byte(point)
	for i, c := range name {
		if c == ' ' {
			name[i] = '-'
		}
	}
	return string(name)
}

func killedAt(point, stage string) mishap {
	return mishap{
		name: "kill/sigkill-" + hyphened(point), stage: stage,
		how: fmt.Sprintf("SIGKILL right after the record `%s`", point), outcome: "killed", slow: point == stage+" flushed",
		provoke: func(p *patient) { p.run("BOOTSTRAP_CRASH=" + point).wants(killed) },
	}
}

// interruptedAt sends the signal while the installer is stopped: it finds it waiting when it goes on.
func interruptedAt(point, stage string) mishap {
	outcome := "says how to go on; 130"
	late := stage == stages.Prove && point != stage+" begin" // nothing is left to be interrupted
	if late {
		outcome = "done; 0, or 130"
	}
	return mishap{
		name: "kill/sigint-" + hyphened(point), stage: stage,
		how: fmt.Sprintf("SIGINT right after the record `%s`", point), outcome: outcome,
		slow: point != stages.Toolchain+" begin",
		provoke: func(p *patient) {
			a := p.start("BOOTSTRAP_CRASH=stop " + point).stopped().signal(syscall.SIGINT).wait()
			if late && a.cmd.ProcessState.ExitCode() == 0 {
				return
			}
			a.wants(130, "(?m)^hint: run the same command again")
		},
	}
}

// struckIn hits it at a random moment of a stage, by how long that took when all was well.
func struckIn(stage, name string, signal syscall.Signal, code int) mishap {
	return mishap{
		name: fmt.Sprintf("kill/%s-random-%s", map[int]string{killed: "sigkill", 130: "sigint"}[code], stage), stage: stage,
		how: name + " at a random moment after the record `" + stage + " begin`", outcome: fmt.Sprintf("%s, or done where it came too late", ending(code)),
		slow: code == 130 || stage != stages.Toolchain && stage != stages.Native && stage != stages.Configure,
		provoke: func(p *patient) {
			a := p.start("BOOTSTRAP_CRASH=stop " + stage + " begin").stopped()
			moment := time.Duration(rand.Float64() * p.healthy.seconds[stage] * float64(time.Second))
			p.Logf("%s %s into stage %s", name, moment.Round(time.Millisecond), stage)
			a.signal()
			time.Sleep(moment)
			a.signal(signal).wait()
			if a.cmd.ProcessState.ExitCode() != 0 {
				a.wants(code)
			}
		},
	}
}

func ending(code int) string {
	if code == killed {
		return "killed"
	}
	return fmt.Sprint(code)
}
