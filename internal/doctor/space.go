package doctor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"bootstrap/internal/probe"

	"golang.org/x/sys/unix"
)

const (
	trialBytes = 16 << 20 // that are really written
	trialFiles = 256      // that are really made
)

// trySpace writes, since a quota shows nowhere else. Then it asks for all that the installation
// takes, where a file system can set bytes aside without writing them.
func (o Options) trySpace(ctx context.Context, dir string, p probe.Place, need int64) Check {
	c := ok("write", "free bytes are the disk's; a quota of the user's, or of the project's, shows only when something is written", "")
	bytes := filepath.Join(dir, "bytes")
	defer os.Remove(bytes)
	size, err := o.write(ctx, bytes)
	if err == nil {
		c.Found = probe.Size(size) + " written"
		var reserved bool
		if reserved, err = o.reserve(bytes, p.FileSystem, need); reserved {
			c.Found += fmt.Sprintf(", %s set aside", probe.Size(need))
		}
	}
	if err == nil {
		err = makeFiles(ctx, dir)
		c.Found += fmt.Sprintf(", %d files made", trialFiles)
	}
	if err == nil || ctx.Err() != nil {
		return c
	}
	c.Found = err.Error()
	switch {
	case errors.Is(err, unix.EDQUOT):
		c.Found = "the quota is used up: " + c.Found
		return c.but(Refused, "free space or ask for more quota (`quota -s` shows it), or choose a "+p.Flag+" elsewhere")
	case errors.Is(err, unix.ENOSPC):
		c.Found = "the disk is full: " + c.Found
		return c.but(Refused, "free space, or choose a "+p.Flag+" elsewhere")
	}
	return c.but(Refused, "choose a "+p.Flag+" elsewhere")
}

// write writes bytes that no file system makes fewer of.
func (o Options) write(ctx context.Context, path string) (size int64, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	source := rand.NewChaCha8([32]byte{})
	block := make([]byte, 1<<20)
	for size < trialBytes && ctx.Err() == nil {
		_, _ = source.Read(block) // never fails
		n, err := o.System.Write(file, block)
		size += int64(n)
		if err != nil {
			return size, err
		}
	}
	return size, o.System.Sync(file) // where a server looks at the quota only then
}

// reserve sets aside what the installation takes. In memory that would take the memory.
func (o Options) reserve(path, fileSystem string, need int64) (bool, error) {
	if need <= trialBytes || fileSystem == "tmpfs" || fileSystem == "ramfs" {
		return false, nil
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) == nil && limit.Cur < uint64(need) {
		return false, nil // one file may not be that large; many may
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = o.System.Reserve(file, need)
	for errors.Is(err, unix.EINTR) {
		err = o.System.Reserve(file, need)
	}
	if errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.ENOSPC) {
		return false, fmt.Errorf("%s cannot be set aside: %w", probe.Size(need), err)
	}
	return err == nil, nil // any other error says that it cannot be done in this way
}

func makeFiles(ctx context.Context, dir string) error {
	sub := filepath.Join(dir, "files")
	if err := os.Mkdir(sub, 0o700); err != nil {
		return err
	}
	for i := 0; i < trialFiles && ctx.Err() == nil; i++ {
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}
