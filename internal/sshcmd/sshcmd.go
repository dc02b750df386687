// Package sshcmd runs OpenSSH's client, and says in words why a host is not reached.
//
// It asks nothing and takes no password: it runs in the background of another program. What a host
// is known by is given to it, and nothing of it is written to files of the user's.
package sshcmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/run"
)

// Client is an ssh program and how it is run.
type Client struct {
	Program  string   // absolute path
	Options  []string // words that go before the destination, as NIX_SSHOPTS has them
	Env      run.Env  // the whole environment
	Identity string   // file of a private key; what ssh finds by itself if empty
}

// patience is how many seconds a host has to answer.
const patience = 20

// command returns an ssh to a destination that takes the host for what a file says, and nothing else.
// The first of several values of an option counts (ssh_config(5)), so ours come first.
func (c Client) command(destination, known, checking string, more ...string) *run.Cmd {
	args := []string{"-T", "-x", "-a"}
	for _, option := range append([]string{
		"BatchMode=yes", "StrictHostKeyChecking=" + checking,
		"UserKnownHostsFile=" + known, "GlobalKnownHostsFile=/dev/null",
		"HashKnownHosts=no", "UpdateHostKeys=no", "CheckHostIP=no",
		// A connection that is shared would have been checked by somebody else.
		"ControlMaster=no", "ControlPath=none",
		fmt.Sprintf("ConnectTimeout=%d", patience),
	}, more...) {
		args = append(args, "-o", option)
	}
	args = append(args, c.Options...)
	if c.Identity != "" {
		args = append(args, "-i", c.Identity)
	}
	return &run.Cmd{Path: c.Program, Args: append(args, destination, "--"), Env: c.Env}
}

// HostKey returns the key that a host shows, and the name that ssh looks it up by in a file of known
// hosts. Nobody is logged in, and no key of the user's is offered. Temporary files are made in dir.
func (c Client) HostKey(ctx context.Context, destination, dir string) (name string, key Key, err error) {
	known, err := os.MkdirTemp(dir, "ssh-")
	if err != nil {
		return "", Key{}, err
	}
	defer os.RemoveAll(known)
	file := filepath.Join(known, "known_hosts")
	cmd := c.command(destination, file, "accept-new", "PreferredAuthentications=none")
	cmd.Args = append(cmd.Args, "true")
	failed := cmd.Run(ctx) // that it is not let in is what was asked for
	if ctx.Err() != nil {
		return "", Key{}, failed
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", Key{}, explain(failed)
	}
	name, rest, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	key, err = ParseKey(rest)
	if err != nil {
		return "", Key{}, fmt.Errorf("host %q: %w", destination, err)
	}
	return name, key, nil
}

// Output runs a program on a host whose key is in the file known, and returns what it printed.
// ssh puts the words together with blanks, and the user's shell on the other side takes them apart:
// they must be [Plain].
func (c Client) Output(ctx context.Context, destination, known string, stdin io.Reader, argv ...string) ([]byte, error) {
	if i := slices.IndexFunc(argv, func(word string) bool { return !Plain(word) }); i >= 0 {
		return nil, fmt.Errorf("word %q: would be read by a shell on the host %q", argv[i], destination)
	}
	cmd := c.command(destination, known, "yes")
	cmd.Args, cmd.Stdin = append(cmd.Args, argv...), stdin
	out, err := cmd.Output(ctx)
	if err != nil && ctx.Err() == nil {
		return nil, explain(err)
	}
	return out, err
}

// Plain reports whether a word is the same to every shell: it has nothing but letters, digits and
// some signs that mean nothing there.
func Plain(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-+@=:,%", r)
	})
}
