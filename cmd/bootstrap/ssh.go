package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/run"
	"bootstrap/internal/sshcmd"
)

// sshVariables are those that ssh, and Nix where it runs ssh, go by.
var sshVariables = []string{"PATH", "SSH_AUTH_SOCK", "NIX_SSHOPTS"}

// ssh finds the ssh program that Nix would run, which is the one on PATH, and runs it as Nix does.
func (m machine) ssh() (sshcmd.Client, error) {
	c := sshcmd.Client{Env: run.BaseEnv(m.getenv("HOME"), os.TempDir(), m.getenv("PATH"))}
	for _, name := range sshVariables {
		if v := m.getenv(name); v != "" {
			c.Env[name] = v
		}
	}
	options := m.getenv("NIX_SSHOPTS")
	if strings.ContainsAny(options, `'"\`) {
		return c, fault.New(fault.Usage, errors.New("NIX_SSHOPTS: has quotes in it, which only Nix understands"), "put what it says into ~/.ssh/config")
	}
	c.Options = strings.Fields(options)
	for _, dir := range filepath.SplitList(m.getenv("PATH")) {
		program := filepath.Join(dir, "ssh")
		if info, err := os.Stat(program); err == nil && filepath.IsAbs(dir) && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			c.Program = program
			return c, nil
		}
	}
	return c, fault.New(fault.Unfit, errors.New("there is no ssh on PATH"), "install OpenSSH's client: Nix runs it to reach a builder")
}

// overSSH returns a Nix that finds that ssh program, and the keys that an agent has for it.
func (m machine) overSSH(n nixcmd.Nix, c sshcmd.Client) nixcmd.Nix {
	more := run.Env{}
	for _, name := range sshVariables {
		if v, ok := c.Env[name]; ok {
			more[name] = v
		}
	}
	n.Env = n.Env.With(more)
	return n
}
