// Package builders owns which other machines build for a prefix: the file of machines that nix.conf
// names, the keys that those machines are known by, and whether they can do it at all.
//
// The file is Nix's own form; what is in it is all there is to know. The keys are in it as well,
// since the ssh that Nix runs knows no other; a file of known hosts beside it is made from them.
package builders

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"bootstrap/internal/sshcmd"
)

// Machine is a line of a file of machines.
// https://nix.dev/manual/nix/2.26/command-ref/conf-file#conf-builders
type Machine struct {
	// Host is how ssh is told of it: a name, or one with a user before it and "@" in between.
	Host      string     `json:"host"`
	Program   string     `json:"program"`            // its nix-daemon
	Identity  string     `json:"identity,omitempty"` // file of the private key; what ssh finds if empty
	Systems   []string   `json:"systems"`
	Jobs      int        `json:"max_jobs"`
	Speed     float64    `json:"speed"`
	Features  []string   `json:"features"`  // it has
	Mandatory []string   `json:"mandatory"` // it has, and builds nothing that does not ask for all of them
	Key       sshcmd.Key `json:"-"`
	// KnownAs is what ssh looks the key up by: the host's name, unless ssh's configuration has
	// another, or a port.
	KnownAs string `json:"known_as"`
}

// scheme is the one that has a store's own protocol. The older "ssh" knows less.
const scheme = "ssh-ng://"

// URL is what the machine is called by.
func (m Machine) URL() string { return scheme + m.Host }

// name returns the host's name without the user.
func (m Machine) name() string { return m.Host[strings.LastIndexByte(m.Host, '@')+1:] }

// destination returns what ssh is given. In a URL, an address of IPv6 is in brackets; ssh wants none.
func (m Machine) destination() string {
	return strings.NewReplacer("[", "", "]", "").Replace(m.Host)
}

// ParseURL reads ssh-ng://[user@]host.
func ParseURL(text string) (host string, err error) {
	host, ok := strings.CutPrefix(text, scheme)
	if !ok {
		if strings.HasPrefix(text, "ssh://") {
			return "", errors.New("ssh:// is an older way, which cannot say why a build failed")
		}
		return "", fmt.Errorf("is not %s[USER@]HOST", scheme)
	}
	name := host[strings.LastIndexByte(host, '@')+1:]
	inner, v6 := strings.CutPrefix(name, "[")
	switch {
	case strings.ContainsAny(host, "?/"):
		return "", errors.New("has parameters or a path; flags say what it is like")
	case name == "" || strings.HasPrefix(host, "@"):
		return "", errors.New("names no host")
	case v6:
		if address, ok := strings.CutSuffix(inner, "]"); !ok || !strings.Contains(address, ":") {
			return "", errors.New("has a port, or no address in brackets; Nix 2.26 cannot tell ssh of a port")
		}
	case strings.Contains(name, ":"):
		return "", errors.New("has a port, which Nix 2.26 cannot tell ssh")
	case host == "localhost": // with a user it would
		return "", errors.New("is not reached by ssh: Nix takes it for this very machine")
	}
	if strings.HasPrefix(name, "-") || strings.HasPrefix(host, "-") || !sshcmd.Plain(strings.NewReplacer("[", "", "]", "").Replace(host)) {
		return "", errors.New("is no name of a host")
	}
	return host, nil
}

// lines returns the key as Nix writes it into a file of known hosts behind the host's name
// (2.26, src/libstore/ssh.cc), and with it a second line where ssh looks for another name.
func (m Machine) lines() string {
	if m.KnownAs == m.name() {
		return m.Key.String()
	}
	return m.Key.String() + "\n" + m.KnownAs + " " + m.Key.String()
}

// line returns the machine as a line of the file.
func (m Machine) line() string {
	return strings.Join([]string{
		m.URL() + "?remote-program=" + escape(m.Program), list(m.Systems), dash(m.Identity), strconv.Itoa(m.Jobs),
		strconv.FormatFloat(m.Speed, 'g', -1, 64), list(m.Features), list(m.Mandatory),
		base64.StdEncoding.EncodeToString([]byte(m.lines())),
	}, " ")
}

// StoreURL returns the address of its store, for `nix --store`.
func (m Machine) StoreURL() string {
	u := m.URL() + "?remote-program=" + escape(m.Program) + "&base64-ssh-public-host-key=" +
		escape(base64.StdEncoding.EncodeToString([]byte(m.lines())))
	if m.Identity != "" {
		u += "&ssh-key=" + escape(m.Identity)
	}
	return u
}

func escape(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(text), "+", "%20"), "%2F", "/")
}

func list(words []string) string { return dash(strings.Join(words, ",")) }

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// parseLine reads what [Machine.line] writes.
func parseLine(text string) (m Machine, err error) {
	f := strings.Fields(text)
	if len(f) != 8 {
		return m, fmt.Errorf("has %d fields, not 8", len(f))
	}
	address, query, _ := strings.Cut(f[0], "?")
	if m.Host, err = ParseURL(address); err != nil {
		return m, fmt.Errorf("%q: %w", address, err)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return m, err
	}
	m.Program, m.Identity = values.Get("remote-program"), undash(f[2])
	m.Systems, m.Features, m.Mandatory = split(f[1]), split(f[5]), split(f[6])
	if m.Jobs, err = strconv.Atoi(f[3]); err != nil {
		return m, err
	}
	if m.Speed, err = strconv.ParseFloat(f[4], 64); err != nil {
		return m, err
	}
	known, err := base64.StdEncoding.DecodeString(f[7])
	if err != nil {
		return m, err
	}
	first, second, two := strings.Cut(string(known), "\n")
	if m.Key, err = sshcmd.ParseKey(first); err != nil {
		return m, err
	}
	m.KnownAs = m.name()
	if two {
		m.KnownAs, _, _ = strings.Cut(second, " ")
	}
	return m, m.Check()
}

func undash(text string) string {
	if text == "-" {
		return ""
	}
	return text
}

func split(text string) []string {
	if text = undash(text); text == "" {
		return []string{}
	}
	return strings.Split(text, ",")
}

// Check refuses what would not be read back from the file as it is. Systems may be missing.
func (m Machine) Check() error {
	for _, path := range []string{m.Program, m.Identity} {
		if path != "" && (!filepath.IsAbs(path) || strings.ContainsAny(path, " \t\n#;")) {
			return fmt.Errorf("path %q: is not absolute, or has signs that a file of machines cannot hold", path)
		}
	}
	if m.Program != "" && !sshcmd.Plain(m.Program) {
		return fmt.Errorf("program %q: has signs that a shell on the other side would read", m.Program)
	}
	for _, word := range slices.Concat(m.Systems, m.Features, m.Mandatory) {
		if !sshcmd.Plain(word) || strings.Contains(word, ",") {
			return fmt.Errorf("%q: is no name of a system or a feature", word)
		}
	}
	if m.Jobs < 1 || m.Speed <= 0 {
		return fmt.Errorf("%d jobs, speed %g: must be more than nothing", m.Jobs, m.Speed)
	}
	return nil
}
