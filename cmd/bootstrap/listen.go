package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"bootstrap/internal/fault"
)

// listen opens an address that this machine alone can reach: a port of the loopback interface, or a socket that its owner
// alone can use. It returns the address as others give it.
func (m machine) listen(address string) (net.Listener, string, error) {
	const hint = "give 127.0.0.1:0 for any port that is free, or unix:PATH"
	if path, ok := strings.CutPrefix(address, "unix:"); ok && path != "" {
		path, err := m.absolute("--listen", path)
		if err != nil {
			return nil, "", err
		}
		return listenSocket(path)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", fault.New(fault.Usage, fmt.Errorf("--listen %q: is no address", address), hint)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, "", fault.New(fault.Usage, fmt.Errorf("--listen %q: others could reach it, and it serves this prefix alone", address), hint)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, "", fault.New(fault.Unfit, fmt.Errorf("--listen %q: %w", address, err), hint)
	}
	return l, "http://" + l.Addr().String(), nil
}

// listenSocket makes a socket. One that nobody listens on any more is replaced.
func listenSocket(path string) (net.Listener, string, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil || info.Mode().Type() != fs.ModeSocket:
		return nil, "", fault.New(fault.Usage, fmt.Errorf("--listen %q: there is something else", path), "give a name that is free")
	default:
		if c, err := net.Dial("unix", path); err == nil {
			return nil, "", errors.Join(fault.New(fault.Locked, fmt.Errorf("--listen %q: somebody listens there", path), "end that first, or give another name"), c.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, "", err
		}
	}
	umask := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(umask)
	if err != nil {
		return nil, "", fault.New(fault.Unfit, fmt.Errorf("--listen %q: %w", path, err), "a socket's path has at most 107 bytes, and its directory must be there")
	}
	return l, "unix:" + path, nil
}
