package shellrc

import "strings"

// QuotePOSIX returns s as one word of sh, bash and zsh
// (POSIX.1-2017, Shell Command Language, 2.2.2: nothing is special between single quotes).
func QuotePOSIX(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// QuoteFish returns s as one word of fish, where a backslash escapes itself
// and the quote between single quotes (fish 3.6 manual, "Quotes").
func QuoteFish(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// QuoteCsh returns s as one word of csh and tcsh, where "!" recalls the history
// even between single quotes and in files (tcsh(1), "Lexical structure").
func QuoteCsh(s string) string {
	return "'" + strings.NewReplacer(`'`, `'\''`, `!`, `\!`).Replace(s) + "'"
}
