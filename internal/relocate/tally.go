package relocate

// tally counts what was replaced, to be held against what is found in the result.
type tally struct {
	hashes   []int64 // by path
	replaced int64   // directories
	left     int64   // directories
}

func newTally(m *Map) *tally { return &tally{hashes: make([]int64, len(m.paths))} }

func (t *tally) dir(replaced bool) {
	if replaced {
		t.replaced++
	} else {
		t.left++
	}
}
