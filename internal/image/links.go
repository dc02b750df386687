package image

import (
	"os"
	"path"

	"bootstrap/internal/closure"
)

// Links returns the links that make packages be where programs look for them: /bin, /lib, /share,
// each a link to the package, or a directory of links where there are several; and /etc, which is
// always a directory, since whatever runs a container puts files of its own there.
func Links(c *closure.Closure, root *os.Root, packages []string, programs ...string) ([]File, error) {
	var files []File
	for _, name := range []string{"bin", "etc", "lib", "share"} {
		from := packages
		if name == "bin" {
			from = append(append([]string(nil), packages...), programs...)
		}
		merged, err := closure.Union(root, c.Store, name, from, name == "etc")
		if err != nil {
			return nil, err
		}
		for _, m := range merged {
			f := File{Name: path.Join("/", m.Name), Kind: Directory, Mode: 0o755}
			if m.Target != "" {
				f.Kind, f.Target = Link, m.Target
			}
			files = append(files, f)
		}
	}
	return files, nil
}

// Merge puts lists of files together. Of two with one name the later is taken, in the place of the
// earlier.
func Merge(lists ...[]File) []File {
	var merged []File
	at := map[string]int{}
	for _, list := range lists {
		for _, f := range list {
			i, there := at[f.Name]
			if !there {
				at[f.Name] = len(merged)
				merged = append(merged, f)
				continue
			}
			merged[i] = f
		}
	}
	return merged
}
