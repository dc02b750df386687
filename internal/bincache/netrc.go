package bincache

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
)

// login returns what a file says of a host, as Nix has curl read it; nil if that is nothing.
// https://everything.curl.dev/usingcurl/netrc.html
func login(file, host string) (*url.Userinfo, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("logins: %w", err)
	}
	var name, password string
	mine, found := false, false
	words := strings.Fields(string(data))
	for i := 0; i < len(words); i++ {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch words[i] {
		case "machine", "default":
			if found {
				i = len(words) // the first that fits counts
				continue
			}
			mine = words[i] == "default" || next == host
			found = mine
			if words[i] == "machine" {
				i++
			}
		case "login", "password", "account":
			if mine && words[i] == "login" {
				name = next
			}
			if mine && words[i] == "password" {
				password = next
			}
			i++
		}
	}
	if !found {
		return nil, nil
	}
	return url.UserPassword(name, password), nil
}
