package relocate

import "strings"

// lead is a pair of bytes by which directories are found: one that all of them have at the same place.
type lead struct {
	pair   [2]byte
	offset int
	dirs   []string
}

// commonest are letters by how often they stand in texts, after those that do all the time.
const commonest = "/. etaoinsrlcdpumhgfb_-0123456789"

// rarity is high for bytes that stand in few texts.
func rarity(c byte) int {
	if i := strings.IndexByte(commonest, c); i >= 0 {
		return i
	}
	return len(commonest)
}

// leads returns how texts are found: by the rarest pair of bytes in what all of them begin with, or by one each.
// Every text has at least window bytes, and the pair is among those.
func leads(texts []string) []lead {
	if len(texts) == 0 {
		return nil
	}
	begin := texts[0]
	for _, t := range texts[1:] {
		for !strings.HasPrefix(t, begin) {
			begin = begin[:len(begin)-1]
		}
	}
	begin = begin[:min(len(begin), window)]
	if len(begin) < 2 {
		return append(leads(texts[:1]), leads(texts[1:])...)
	}
	best, most := 0, -1
	for i := 0; i+2 <= len(begin); i++ {
		if r := rarity(begin[i]) + rarity(begin[i+1]); r > most {
			best, most = i, r
		}
	}
	return []lead{{[2]byte{begin[best], begin[best+1]}, best, texts}}
}

// pairsOf returns the pairs of leads.
func pairsOf(list []lead) (pairs [][2]byte) {
	for _, l := range list {
		pairs = append(pairs, l.pair)
	}
	return pairs
}
