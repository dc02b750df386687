package relocate

import (
	"cmp"
	"slices"
)

// maxGroups bounds the memory of one file.
const maxGroups = 2000

// apart is how many bytes are between the operands of two texts, and more than are between those of one.
const apart = 96

// operand is one immediate operand that was repaired.
type operand struct {
	path   int32
	at     int64
	offset int
	n      int
}

// group are operands of one path near each other.
type group struct {
	groupKey
	first, last int64
}

// groupKey makes equal groups count once: how many operands of eight and of four bytes begin at each offset.
type groupKey struct {
	path  int32
	eight [128]uint8
	four  [128]uint8
}

// groups are all operands of a file.
type groups struct {
	list   []operand
	open   map[int32]*group // one of each path, whose operands go on perhaps
	closed map[groupKey]int64
}

// add records an operand. They may come in any order, as long as [groups.gather] was not called for their place.
func (g *groups) add(path int32, at int64, offset, n int) {
	if path >= 0 {
		g.list = append(g.list, operand{path, at, offset, n})
	}
}

// gather puts operands before a place into groups.
func (g *groups) gather(to int64) {
	slices.SortFunc(g.list, func(a, b operand) int { return cmp.Compare(a.at, b.at) })
	n := 0
	for ; n < len(g.list) && g.list[n].at < to; n++ {
		o := g.list[n]
		open := g.open[o.path]
		if open == nil || o.at-open.last > apart {
			g.close(open)
			open = &group{groupKey: groupKey{path: o.path}, first: o.at}
			g.open[o.path] = open
		}
		open.last = o.at
		if count := &open.eight[o.offset]; o.n == window && *count < 255 {
			*count++
		}
		if count := &open.four[o.offset]; o.n < window && *count < 255 {
			*count++
		}
	}
	g.list = slices.Delete(g.list, 0, n)
}

func (g *groups) close(open *group) {
	if open == nil || len(g.closed) >= maxGroups {
		return
	}
	if _, ok := g.closed[open.groupKey]; !ok {
		g.closed[open.groupKey] = open.first
	}
}

// finish calls f with every different group and where the first such is, and returns the paths that have one.
func (g *groups) finish(f func(groupKey, int64)) map[int32]bool {
	g.gather(1 << 62)
	for _, open := range g.open {
		g.close(open)
	}
	paths := map[int32]bool{}
	for key, at := range g.closed {
		paths[key.path] = true
		f(key, at)
	}
	return paths
}

// count is how many operands have a byte of the path, leaving out those that begin at one offset.
func (k *groupKey) count(i, without int) (n int) {
	for o := max(0, i-window+1); o <= i; o++ {
		if o == without {
			continue
		}
		n += int(k.eight[o])
		if o > i-4 {
			n += int(k.four[o])
		}
	}
	return n
}

// complete says whether operands and constants make up a path, and each operand is followed by another one:
// where two texts are near each other, one must not have what the other lacks.
func (k *groupKey) complete(end int, all *code) bool {
	for i := range end {
		if k.count(i, -1) > 0 {
			continue
		}
		consts := all.consts[k.path]
		if consts == nil || !consts.has(i) {
			return false
		}
		// Behind operands a constant has to begin, and nothing smaller.
		if i > 0 && k.count(i-1, -1) > 0 {
			small := all.smalls[k.path]
			if !all.starts[k.path].has(i) || small != nil && small.has(i) {
				return false
			}
		}
	}
	for o := range end {
		if next := o + window; next < end && k.count(next, -1) > 0 && k.count(next, o) < int(k.eight[o]) {
			return false
		}
		if next := o + 4; next < end && k.count(next, -1) > 0 && k.count(next, o) < int(k.four[o]) {
			return false
		}
	}
	return true
}
