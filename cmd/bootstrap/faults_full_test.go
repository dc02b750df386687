package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"bootstrap/stages"
)

// fullMishaps fill the file system of the prefix while the installer is stopped at the begin of a
// stage: by its bytes, and by its inodes.
func fullMishaps() []mishap {
	var all []mishap
	for _, stage := range stageNames()[1:] {
		all = append(all,
			filled("bytes", stage, "a file takes every block", stage != stages.Toolchain && stage != stages.Native, takeBlocks),
			filled("inodes", stage, "files take every inode", stage != stages.Toolchain, takeInodes))
	}
	return append(all, mishap{
		name: "full/from-the-start", stage: "probe", how: "a file takes every block before the command", outcome: "refused, nothing is written; 3",
		lacks: noLoop,
		provoke: func(p *patient) {
			p.small()
			free := takeBlocks(p)
			p.run().wants(3, "too little disk", "(?m)^hint: free ")
			free()
		},
	})
}

// filled is a file system that has no room left from the begin of a stage on. A stage that needs
// none ends well all the same.
func filled(of, stage, how string, slow bool, take func(p *patient) (free func())) mishap {
	return mishap{
		name: fmt.Sprintf("full/%s-%s", of, stage), stage: stage, how: how + ", on ext4 of 1500 MB, at the record `" + stage + " begin`",
		outcome: "it says how much to free; 3", slow: slow, lacks: noLoop,
		provoke: func(p *patient) {
			p.small()
			a := p.start("BOOTSTRAP_CRASH=stop " + stage + " begin").stopped()
			free := take(p)
			a.signal().wait().wants(3, `(?m)^hint: (free|remove) .* run the same command again: it goes on from here`)
			free()
		},
	}
}

// small puts the prefix onto a small file system, until the fault is over.
func (p *patient) small() {
	p.Helper()
	image := p.path("image")
	must(p.T, os.WriteFile(image, nil, 0o600))
	must(p.T, os.Truncate(image, 1500<<20))
	// As many inodes as the checks before an installation ask for, and some.
	p.tool("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-N", "40000", image)
	p.tool("mount", "-o", "loop", image, p.path("opt"))
	p.later(func() {
		p.tool("umount", p.path("opt"))
		must(p.T, os.Remove(image))
	})
	must(p.T, os.Remove(p.path("opt", "lost+found")))
}

func (p *patient) tool(words ...string) {
	p.Helper()
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		p.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

// takeBlocks takes every block of the prefix's file system, and returns what gives them back.
func takeBlocks(p *patient) func() {
	p.Helper()
	name := p.path("opt", "ballast")
	file, err := os.Create(name)
	must(p.T, err)
	defer file.Close()
	var size int64
	for step := int64(256 << 20); step >= 512; {
		if syscall.Fallocate(int(file.Fd()), 0, size, step) == nil {
			size += step
		} else {
			step /= 2
		}
	}
	return func() { must(p.T, os.Remove(name)) }
}

// takeInodes takes every inode.
func takeInodes(p *patient) func() {
	p.Helper()
	dir := p.path("opt", "ballast")
	must(p.T, os.Mkdir(dir, 0o700))
	for i := 0; ; i++ {
		file, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			break
		}
		must(p.T, file.Close())
	}
	return func() { raze(p.T, dir) }
}

// noLoop says why no small file system can be mounted here; "" if one can.
func noLoop() string {
	if os.Geteuid() != 0 {
		return "mounting a small file system takes root"
	}
	for _, program := range []string{"mke2fs", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is not installed"
		}
	}
	dir, err := os.MkdirTemp("", "f")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "at")
	if err := os.Mkdir(at, 0o700); err != nil {
		return err.Error()
	}
	for _, words := range [][]string{
		{"truncate", "-s", "4M", image},
		{"mke2fs", "-q", "-F", "-t", "ext4", image},
		{"mount", "-o", "loop", image, at},
		{"umount", at},
	} {
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Sprintf("no loop mounts: %s", strings.TrimSpace(string(out)))
		}
	}
	return ""
}
