package relocate

import (
	"hash/fnv"
	"path"
	"regexp"
	"strings"
)

// Some files say what others are: by a digest, or by a signature. They become wrong if those are changed,
// and they may come before or after them; so names are kept to the end, as hashes.

// maxList is how much of a list of digests is read.
const maxList = 1 << 20

// lists are the files that were changed, and those that others vouch for.
type lists struct {
	changed map[uint64]bool
	vouched map[uint64]voucher
	full    bool
	links   []string // files with the checksum of a debug file
	debug   bool     // a debug file was changed
}

// voucher is a file that vouches for another one.
type voucher struct {
	hazard Hazard
	file   string
}

// maxVouched bounds the memory.
const maxVouched = 1 << 16

func newLists() *lists { return &lists{changed: map[uint64]bool{}, vouched: map[uint64]voucher{}} }

func key(file string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(file))
	return h.Sum64()
}

func (l *lists) vouch(file string, v voucher) {
	if len(l.vouched) >= maxVouched {
		l.full = true
		return
	}
	l.vouched[key(path.Clean(file))] = v
}

// signatures are the ends of names of detached signatures, and of digests of one file.
var signatures = []string{".sig", ".asc", ".sign", ".minisig", ".p7s", ".sha1", ".sha256", ".sha512", ".md5"}

var pycache = regexp.MustCompile(`^(.*/)?__pycache__/([^/]+?)\.[a-z]+-?[0-9]+[^/]*\.pyc$`)

// look notes whom a file vouches for by its name and its beginning.
func (l *lists) look(file string, head []byte) {
	for _, end := range signatures {
		if other, ok := strings.CutSuffix(file, end); ok && other != "" && !strings.HasSuffix(other, "/") {
			hazard := Signed
			if strings.HasPrefix(end, ".sha") || end == ".md5" {
				hazard = Listed
			}
			l.vouch(other, voucher{hazard, file})
		}
	}
	// PEP 552: the second word of a .pyc has its lowest bit set if a digest of the source follows.
	if strings.HasSuffix(file, ".pyc") && len(head) >= 16 && string(head[2:4]) == "\r\n" && head[4]&1 != 0 {
		source := strings.TrimSuffix(file, "c")
		if m := pycache.FindStringSubmatch(file); m != nil {
			source = m[1] + m[2] + ".py"
		}
		l.vouch(source, voucher{StaleCode, file})
	}
}

// isList says whether a file's lines are names with digests.
func isList(file string) bool {
	name := path.Base(file)
	if name == "RECORD" {
		return strings.HasSuffix(path.Dir(file), ".dist-info")
	}
	upper := strings.ToUpper(name)
	for _, part := range []string{"SHA1SUM", "SHA256SUM", "SHA512SUM", "MD5SUM", "CHECKSUM", "B2SUM"} {
		if strings.Contains(upper, part) {
			return true
		}
	}
	for _, end := range []string{".sha1", ".sha256", ".sha512", ".md5"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

var sumLine = regexp.MustCompile(`^\\?[0-9a-fA-F]{32,128} [ *](.+)$`)

// lines reads a list of digests: of RECORD (PEP 376 and 627), or as sha256sum writes it.
func (l *lists) lines(file, text string) {
	dir := path.Dir(file)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if path.Base(file) == "RECORD" {
			fields := strings.Split(line, ",")
			if n := len(fields); n >= 3 && fields[n-2] != "" {
				name := strings.Trim(strings.Join(fields[:n-2], ","), `"`)
				l.vouch(path.Join(path.Dir(dir), name), voucher{Listed, file})
			}
			continue
		}
		if m := sumLine.FindStringSubmatch(line); m != nil {
			l.vouch(path.Join(dir, m[1]), voucher{Listed, file})
		}
	}
}

// change notes that a file was changed.
func (l *lists) change(file string) {
	l.changed[key(path.Clean(file))] = true
	l.debug = l.debug || strings.HasSuffix(file, ".debug")
}

// link notes a file with .gnu_debuglink.
func (l *lists) link(file string) {
	if len(l.links) < maxFindings {
		l.links = append(l.links, file)
	}
}

// stale returns what vouches for changed files.
func (l *lists) stale() (found []Finding) {
	seen := map[voucher]bool{}
	for k, v := range l.vouched {
		if l.changed[k] && !seen[v] {
			seen[v] = true
			found = append(found, Finding{Refused, v.hazard, v.file, -1, "it vouches for a file that was changed"})
		}
	}
	for _, file := range l.links {
		f := Finding{Left, DebugLink, file, -1, "of a file that is not in this package, or was not changed"}
		if l.debug {
			f.Verdict, f.Detail = Refused, "debug files of this package were changed"
		}
		found = append(found, f)
	}
	if l.full && len(l.changed) > 0 {
		found = append(found, Finding{Refused, Listed, "", -1, "more files are listed than are followed"})
	}
	return found
}
