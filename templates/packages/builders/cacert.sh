# Joins the certificates of Debian's ca-certificates package into one file.
#
#   package  the .deb file

dpkg-deb -x "$package" .
mkdir -p "$out/etc/ssl/certs"
find usr/share/ca-certificates/mozilla -name '*.crt' | sort | xargs cat >"$out/etc/ssl/certs/ca-bundle.crt"
grep -q 'BEGIN CERTIFICATE' "$out/etc/ssl/certs/ca-bundle.crt"
