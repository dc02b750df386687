package doctor

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// tryExec runs a copy of this program from the probe directory. What may run is not only for the
// mount to say: security modules let programs pass by where they are, and by where they came from.
func (o Options) tryExec(ctx context.Context, dir, flag string) Check {
	c := ok("execution", "the compiler and Nix itself run from there", "a program ran")
	if err := o.runCopy(ctx, dir); err != nil {
		c.Found = "a program did not run: " + cause(err)
		return c.but(Refused, "choose another "+flag+", on a file system that is not mounted noexec, and that no security module (fapolicyd, SELinux) watches")
	}
	return c
}

// tryTemporary does so where temporary files are. Bootstrap runs nothing from there.
func (o Options) tryTemporary(ctx context.Context) Check {
	c := ok("temporary execution", "builds outside of a sandbox, and nix-shell, run what they have made there", "a program ran in %s", o.tmp())
	dir, err := probeDirectory(o.tmp())
	if err == nil {
		defer os.RemoveAll(dir)
		err = o.runCopy(ctx, dir)
	}
	if err != nil {
		c.Found = "a program did not run in " + o.tmp() + ": " + cause(err)
		return c.but(Warning, "nothing for bootstrap, which has a directory of its own; for nix-shell, set TMPDIR to another one")
	}
	return c
}

func (o Options) runCopy(ctx context.Context, dir string) error {
	path := filepath.Join(dir, filepath.Base(o.Self[0]))
	if err := copyProgram(o.Self[0], path); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := o.self("nothing")
	cmd.Path = path
	// A child that was forked while the copy was open holds it until it executes something:
	// ETXTBSY, golang.org/issue/22315.
	for attempt := 0; ; attempt++ {
		_, err := cmd.Output(limited)
		if err == nil || !errors.Is(err, unix.ETXTBSY) || attempt == 10 || limited.Err() != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func copyProgram(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
