package transplant

import "path/filepath"

// letters are what made-up names consist of: no four of them come twice in a row, so that a piece of
// a name tells where in it it stands. They are in no order, since programs have tables of digits and
// of the alphabet: code with a piece of such a name in it by chance could not be moved.
const letters = "nix-prefixcLaGQTvg0kpb8uZRmFnNjwtIMYWPh1EzXCe7OJBKfUrs52dyVDo6AS43Hq9l"

// StoreOf returns a store directory of a length in a directory below base, which is clean; "" if there
// is none. Try, from 0 on, gives other ones.
func StoreOf(length int, base string, try int) string {
	const store = "/store"
	size := length - len(filepath.Join(base, "x")) + 1 - len(store)
	if size < 1 || size+try > len(letters) || size > longest {
		return ""
	}
	return filepath.Join(base, letters[try:try+size]) + store
}

// longest is how long a made-up name may be: longer ones are no pleasure.
const longest = 40

// Example returns a store directory as long as another one, below base if there can be one.
func Example(like, base string) string {
	for _, dir := range []string{base, "/opt", "/"} {
		if s := StoreOf(len(like), dir, 0); s != "" {
			return s
		}
	}
	return like
}
