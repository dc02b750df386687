package image

import (
	"cmp"
	"slices"

	"bootstrap/internal/closure"
)

// mostLayers is how many layers store paths are spread over. Docker and others stop at 127 layers,
// and whoever builds on an image needs some of those.
const mostLayers = 64

// split spreads store paths over layers: what most of the closure needs first and each in a layer
// of its own, since images that have something in common have that in common; what is left in the
// last. A layer of one path is the same bytes in every image that has the path.
func split(paths []closure.Path, most int) [][]closure.Path {
	needed := popularity(paths)
	ordered := slices.Clone(paths)
	slices.SortStableFunc(ordered, func(a, b closure.Path) int {
		return cmp.Or(cmp.Compare(needed[b.Path], needed[a.Path]), cmp.Compare(a.Path, b.Path))
	})
	var layers [][]closure.Path
	for len(ordered) > 0 && len(layers) < most-1 {
		layers = append(layers, ordered[:1])
		ordered = ordered[1:]
	}
	if len(ordered) > 0 {
		slices.SortFunc(ordered, func(a, b closure.Path) int { return cmp.Compare(a.Path, b.Path) })
		layers = append(layers, ordered)
	}
	return layers
}

// popularity returns how many of the paths have each of them in their closure.
func popularity(paths []closure.Path) map[string]int {
	references := map[string][]string{}
	for _, p := range paths {
		references[p.Path] = p.References
	}
	count := map[string]int{}
	for _, p := range paths {
		seen := map[string]bool{}
		todo := []string{p.Path}
		for len(todo) > 0 {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if seen[at] {
				continue
			}
			seen[at] = true
			count[at]++
			todo = append(todo, references[at]...)
		}
	}
	return count
}
