// Package e2e tests the whole program on the machine it runs on: real downloads, real builds, real shells.
//
// It has nothing but tests. Those with the build tag e2e take most of an hour:
//
//	go test -tags e2e -timeout 80m -v ./internal/e2e
//
// As root they make a user, whom installations run as, and take that user away in the end;
// as somebody else they run as that somebody. All they write is in a directory of their own below
// /var/tmp, and in /opt/bootstrap-e2e as root.
//
// The tests without the tag are of the means: a reader of traces that finds nothing would make
// every test that uses it pass.
package e2e
