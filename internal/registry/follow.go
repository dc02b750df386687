package registry

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links the kernel follows (path_resolution(7)).
const maxLinks = 40

// Follow returns the way from an absolute path to what it means: the path itself, and after each
// symbolic link, in it or on the way to it, what it has become. Where nothing is at the end, or
// the links have none, there is an error besides the way so far.
func Follow(path string) (way []string, err error) {
	path = filepath.Clean(path)
	way = []string{path}
	done, rest := "/", strings.TrimPrefix(path, "/")
	for rest != "" {
		name, after, _ := strings.Cut(rest, "/")
		switch name {
		case "", ".":
			rest = after
			continue
		case "..":
			done, rest = filepath.Dir(done), after
			continue
		}
		at := filepath.Join(done, name)
		info, err := os.Lstat(at)
		if err != nil {
			return way, err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			done, rest = at, after
			continue
		}
		if len(way) > maxLinks {
			return way, &os.PathError{Op: "follow", Path: path, Err: syscall.ELOOP}
		}
		target, err := os.Readlink(at)
		if err != nil {
			return way, err
		}
		if filepath.IsAbs(target) {
			done = "/"
		}
		rest = strings.Trim(target+"/"+after, "/")
		for rest == ".." || strings.HasPrefix(rest, "../") {
			done, rest = filepath.Dir(done), strings.TrimPrefix(strings.TrimPrefix(rest, ".."), "/")
		}
		// Not cleaned: ".." after a link is not what it looks like.
		way = append(way, strings.TrimSuffix(strings.TrimSuffix(done, "/")+"/"+rest, "/"))
	}
	return way, nil
}
