package mirror

import (
	"net/url"
	"strings"
)

// domain is that of the Debian project.
const domain = "debian.org"

// countries are those whose mirror of the archive the project itself names,
// ftp.<country>.<domain>: https://www.debian.org/mirror/list, "Debian Mirrors per Country".
const countries = "us de uk fr jp br au ca se ch nl at fi no dk it es pl cz tw kr nz be cl hk"

// countryMirrors is the built-in list. It is plain http: the host names are aliases,
// which the certificates of most mirrors do not hold, and every file is checked anyway.
func countryMirrors() []string {
	var out []string
	for _, country := range strings.Fields(countries) {
		out = append(out, "http://ftp."+country+"."+domain+"/debian")
	}
	return out
}

// SnapshotURL returns the mirror that has the archive as it was at a time,
// given as in "20260912T075541Z". It keeps every file that ever was in the archive.
func SnapshotURL(timestamp string) string {
	return "https://snapshot." + domain + "/archive/debian/" + url.PathEscape(timestamp)
}
