package fetch

import (
	"net/url"
	"strings"
)

// hostOf says where an address is.
func hostOf(u *url.URL) string {
	if u.Scheme == "file" {
		return "this machine"
	}
	return u.Host
}

// JoinURL returns the address of a file below base. The path is the file's name as it is on
// the server's disk, relative, with slashes: "pool/main/g/g++/g++_1%3a12~rc1+b1_amd64.deb".
// What may not stand in an address is escaped, "%" too; "+", "~" and ":" stay.
func JoinURL(base, path string) string {
	parts := strings.Split(strings.TrimLeft(path, "/"), "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.TrimRight(base, "/") + "/" + strings.Join(parts, "/")
}
