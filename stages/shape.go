package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// shape digests names, kinds, sizes and links below directories, without reading a file: what a
// power cut, a full disk or a deletion does to a tree shows in it, in a fraction of a second.
// `bootstrap repair` reads the contents besides.
func shape(ctx context.Context, dirs ...string) (string, error) {
	sum := sha256.New()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			size, target := int64(0), ""
			switch {
			case info.Mode().IsRegular():
				size = info.Size()
			case info.Mode()&fs.ModeSymlink != 0:
				if target, err = os.Readlink(path); err != nil {
					return err
				}
			}
			// Nix tells an executable from another file, and nothing else (the modes of a store are its own).
			_, err = fmt.Fprintf(sum, "%q %s %t %d %q\n", path, info.Mode().Type(), info.Mode()&0o100 != 0, size, target)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
