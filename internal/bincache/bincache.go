// Package bincache reads binary caches of Nix: who they are, what they have, and what of it a key
// has signed. It also puts into them what Nix does not: which store paths an installation consists of.
//
// It unpacks nothing and registers nothing. What it says of a file is its sha256 and its size, for
// internal/fetch; the signature that counts in the end is checked by Nix once more.
//
// The format: https://nix.dev/manual/nix/2.26/protocols/binary-cache (narinfo, nix-cache-info)
package bincache

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"

	"zombiezen.com/go/nix"
)

// Options say which cache, and for which store. URL, Store and Transport are required.
type Options struct {
	URL       string // http, https or file
	Store     string // the store directory that its paths must have
	Key       *Key   // who has to have signed what is read; nil while nothing is
	Transport http.RoundTripper
	Netrc     string // file with logins, as curl has it; may be "" or missing

	// Sleep waits between attempts; [fetch.Sleep] if nil.
	Sleep func(context.Context, time.Duration) error
}

// Cache is a cache of the right store directory.
type Cache struct {
	URL   string // without a slash at its end
	Key   *Key
	Store string
	// New says that there is no cache yet: the first that is put into it makes one.
	New bool

	base   *url.URL
	client *http.Client
	opened Options
	sleep  func(context.Context, time.Duration) error
}

// ErrMissing says that a cache does not have what it was asked for.
var ErrMissing = errors.New("is not in the cache")

const whichURL = "give the address of a binary cache: https://host/path, http://host/path or file:///directory"

// ParseURL checks the address of a cache that can be read, and returns it in its one form.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("cache %q: is no address", text), whichURL)
	}
	refuse := func(what string) (*url.URL, error) {
		shown := *u
		shown.User = nil
		return nil, fault.New(fault.Usage, fmt.Errorf("cache %q: %s", shown.String(), what), whichURL)
	}
	switch {
	case u.User != nil:
		shown := *u
		shown.User = nil
		return nil, fault.New(fault.Usage, fmt.Errorf("cache %q: has a login in its address, which everybody could read in nix.conf", shown.String()),
			"put the login into the file netrc of the configuration directory: machine HOST login NAME password WORD")
	case u.RawQuery != "" || u.Fragment != "":
		return refuse("has parameters")
	case u.Scheme == "file" && (u.Host != "" || !path.IsAbs(u.Path)):
		return refuse("is no directory of this machine")
	case u.Scheme == "file":
		u.Path = path.Clean(u.Path)
		u.RawPath = ""
		return u, nil
	case u.Scheme != "http" && u.Scheme != "https":
		return refuse("is of a kind that cannot be asked")
	case u.Hostname() == "":
		return refuse("has no host")
	}
	return u.Parse(strings.TrimRight(u.String(), "/"))
}

// Open asks a cache who it is. One of another store directory is refused.
func Open(ctx context.Context, o Options) (*Cache, error) {
	u, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	c := &Cache{URL: u.String(), Key: o.Key, Store: o.Store, base: u, opened: o, sleep: o.Sleep}
	reach := local{net: o.Transport, files: http.NewFileTransport(http.Dir("/")), to: u}
	if o.Netrc != "" {
		if reach.login, err = login(o.Netrc, u.Hostname()); err != nil {
			return nil, err
		}
	}
	c.client = &http.Client{Transport: reach, Timeout: time.Minute, CheckRedirect: fetch.CheckRedirect}
	if c.sleep == nil {
		c.sleep = fetch.Sleep
	}
	text, err := c.get(ctx, nix.CacheInfoName)
	if errors.Is(err, ErrMissing) {
		c.New = true
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	var info nix.CacheInfo
	if err := info.UnmarshalText(text); err != nil || !bytes.HasPrefix(text, []byte("StoreDir:")) {
		return nil, fault.New(fault.Unfit, fmt.Errorf("cache %q: what is there is no binary cache: its %s cannot be read", c.URL, nix.CacheInfoName), whichURL)
	}
	if string(info.StoreDirectory) != o.Store {
		return nil, fault.New(fault.Unfit,
			fmt.Errorf("cache %q: it is of the store directory %q, and this prefix has %q", c.URL, info.StoreDirectory, o.Store),
			"store paths have their store directory in them: use a cache that was filled from a prefix in "+o.Store)
	}
	return c, nil
}

// Options returns how it was opened, with another key.
func (c *Cache) Options(key *Key) Options {
	o := c.opened
	o.Key = key
	return o
}

// Existing refuses an address where no cache is.
func (c *Cache) Existing() error {
	if !c.New {
		return nil
	}
	return fault.New(fault.Unfit, fmt.Errorf("cache %q: there is no cache: it has no %s", c.URL, nix.CacheInfoName),
		"check the address; `bootstrap cache push` makes a cache where there is none")
}

const (
	most     = 1 << 20 // bytes of a text
	attempts = 4
)

// get returns a text of the cache. It wraps [ErrMissing] if there is none.
func (c *Cache) get(ctx context.Context, name string) ([]byte, error) {
	var text []byte
	err := c.exchange(ctx, http.MethodGet, name, nil, func(reply *http.Response) error {
		var err error
		if text, err = io.ReadAll(io.LimitReader(reply.Body, most+1)); err == nil && len(text) > most {
			err = fault.New(fault.Verify, fmt.Errorf("cache %q: %s has more than %d bytes", c.URL, name, most), whichURL)
		}
		return err
	})
	return text, err
}

// exchange makes one request, and again where that may help.
func (c *Cache) exchange(ctx context.Context, method, name string, body []byte, use func(*http.Response) error) error {
	for n := 1; ; n++ {
		req, err := http.NewRequestWithContext(ctx, method, c.Address(name), bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("cache %q: %w", c.URL, err)
		}
		req.Header.Set("Accept-Encoding", "identity")
		reply, err := c.client.Do(req)
		if err == nil && reply.StatusCode/100 == 2 {
			err = use(reply)
			err = errors.Join(err, reply.Body.Close())
			if err == nil {
				return nil
			}
			reply = nil
		} else if err == nil {
			reply.Body.Close()
		}
		var refused *fault.Error
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused):
			return err
		case n < attempts && fetch.Transient(reply, err):
			if err := c.sleep(ctx, time.Duration(n)*300*time.Millisecond); err != nil {
				return err
			}
			continue
		case err != nil:
			return c.unreachable(err)
		}
		return c.refused(method, name, reply)
	}
}

// unreachable is the error of a server that does not answer.
func (c *Cache) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return fault.New(fault.General, fmt.Errorf("cache %q: its certificate cannot be trusted: %w", c.URL, certificate.Err),
			"--ca-cert FILE names the authority that has signed it, if it is one of your own")
	}
	return fault.New(fault.General, fmt.Errorf("cache %q: does not answer: %w", c.URL, err),
		"check the address, the server and the proxy settings (HTTPS_PROXY, HTTP_PROXY)")
}

// refused is the error of a server that says no.
func (c *Cache) refused(method, name string, reply *http.Response) error {
	switch reply.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		if method == http.MethodGet {
			return fmt.Errorf("cache %q: %s %w", c.URL, name, ErrMissing)
		}
	case http.StatusUnauthorized:
		return fault.New(fault.General, fmt.Errorf("cache %q: wants a login", c.URL),
			"put it into the file netrc of the configuration directory: machine HOST login NAME password WORD")
	}
	hint := "check the address, and the server's own log"
	if method == http.MethodPut {
		hint = "the server has to take PUT; docs/CACHE.md has a configuration of nginx that does"
	}
	return fault.New(fault.General, fmt.Errorf("cache %q: %s of %s: %s", c.URL, method, name, reply.Status), hint)
}

// Address returns where a file of the cache is.
func (c *Cache) Address(name string) string {
	u := *c.base
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/")+"/"+name, ""
	return u.String()
}

// Directory returns the directory that a cache on this machine is; "" for any other.
func (c *Cache) Directory() string {
	if c.base.Scheme == "file" {
		return filepath.FromSlash(c.base.Path)
	}
	return ""
}

// Transport returns how the files of the cache are reached, with the login it may take.
func (c *Cache) Transport() http.RoundTripper { return c.client.Transport }

// local serves files of this machine besides what is on the net.
type local struct {
	net, files http.RoundTripper
	to         *url.URL // that the login is for
	login      *url.Userinfo
}

func (l local) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "file" {
		reply, err := l.files.RoundTrip(req)
		if err == nil { // it knows, and does not say
			if n, perr := strconv.ParseInt(reply.Header.Get("Content-Length"), 10, 64); perr == nil {
				reply.ContentLength = n
			}
		}
		return reply, err
	}
	if l.login != nil && req.URL.Host == l.to.Host && req.URL.Scheme == l.to.Scheme {
		req = req.Clone(req.Context())
		password, _ := l.login.Password()
		req.SetBasicAuth(l.login.Username(), password)
	}
	return l.net.RoundTrip(req)
}
