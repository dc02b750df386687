// Package installsh tests scripts/install.sh: under every POSIX shell that is there,
// with programs and release servers of its own. It holds nothing else.
package installsh
