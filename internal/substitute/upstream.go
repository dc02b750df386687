package substitute

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"bootstrap/internal/drv"
	"bootstrap/internal/fault"

	"zombiezen.com/go/nix"
)

// maxText is how large a narinfo may be. Those of large closures have some hundred references.
const maxText = 1 << 20

// Upstream is a binary cache of another store directory, whose signatures are checked.
type Upstream struct {
	address string
	store   drv.Dir
	keys    []*nix.PublicKey
	files   *os.Root // of a file:// one
	base    *url.URL // of one that is reached by HTTP
	client  *http.Client
	stall   time.Duration
}

// UpstreamOptions say which cache, and whom to trust.
type UpstreamOptions struct {
	URL       string            // file:///directory, http:// or https://
	Store     drv.Dir           // its store directory
	Keys      []string          // "<name>:<base 64>", one or more
	Transport http.RoundTripper // reaches it
	Stall     time.Duration     // a transfer without a byte for so long is cut; default 30 s
}

// OpenUpstream asks a cache whether it is one of that store directory. The caller closes it.
func OpenUpstream(ctx context.Context, o UpstreamOptions) (*Upstream, error) {
	u := &Upstream{address: strings.TrimSuffix(o.URL, "/"), store: o.Store, stall: o.Stall, client: &http.Client{Transport: o.Transport}}
	if u.stall <= 0 {
		u.stall = 30 * time.Second
	}
	if len(o.Keys) == 0 {
		return nil, fault.New(fault.Usage, errors.New("no key given"), "say whose signatures count: --key NAME:BASE64, the cache's public key")
	}
	for _, text := range o.Keys {
		key, err := nix.ParsePublicKey(text)
		if err != nil {
			return nil, fault.New(fault.Usage, fmt.Errorf("--key %q: is not a public key of Nix", text), "give it as NAME:BASE64, as trusted-public-keys in a nix.conf has it")
		}
		u.keys = append(u.keys, key)
	}
	if err := u.parse(o.URL); err != nil {
		return nil, err
	}
	if err := u.ask(ctx); err != nil {
		return nil, errors.Join(err, u.Close())
	}
	return u, nil
}

// parse finds out how the cache is reached.
func (u *Upstream) parse(address string) error {
	const hint = "give file:///DIRECTORY, http://… or https://…, without parameters"
	parsed, err := url.Parse(u.address)
	switch {
	case err != nil:
		return fault.New(fault.Usage, fmt.Errorf("--from %q: is not an address", address), hint)
	case parsed.RawQuery != "" || parsed.Fragment != "":
		return fault.New(fault.Usage, fmt.Errorf("--from %q: has parameters", address), hint)
	case parsed.Scheme == "file" && parsed.Host == "" && path.IsAbs(parsed.Path):
		if u.files, err = os.OpenRoot(parsed.Path); err != nil {
			return fault.New(fault.Usage, fmt.Errorf("--from %q: %w", address, err), "give the directory that `nix copy --to file://…` wrote")
		}
	case (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Host != "":
		u.base = parsed.JoinPath("/")
	default:
		return fault.New(fault.Usage, fmt.Errorf("--from %q: is no binary cache that can be reached", address), hint)
	}
	return nil
}

// ask reads what the cache says of itself.
func (u *Upstream) ask(ctx context.Context) error {
	text, err := u.text(ctx, "nix-cache-info")
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Usage, fmt.Errorf("--from %q: is no binary cache: it has no nix-cache-info", u.address), "give the address that a nix.conf has in substituters")
	}
	if err != nil {
		return fault.New(fault.General, fmt.Errorf("--from %q: %w", u.address, err), "try again later; Nix alone builds everything here")
	}
	store := "/nix/store" // as Nix has it, where nothing is said
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == "StoreDir" {
			store = strings.TrimSpace(value)
		}
	}
	if store != string(u.store) {
		return fault.New(fault.Usage, fmt.Errorf("--from %q: its store directory is %q, not %q", u.address, store, u.store), fmt.Sprintf("--from-store %s", store))
	}
	return nil
}

// Close gives back what OpenUpstream has taken.
func (u *Upstream) Close() error {
	u.client.CloseIdleConnections()
	if u.files == nil {
		return nil
	}
	return u.files.Close()
}

// Sources returns the address from which Nix itself takes what is fixed by its hash, whatever its store directory is.
func (u *Upstream) Sources() string { return u.address + "?store=" + url.QueryEscape(string(u.store)) }

// info returns what the cache says of a path, if somebody who is trusted signed it. Without that path, the error is
// [fs.ErrNotExist].
func (u *Upstream) info(ctx context.Context, base string) (*nix.NARInfo, []byte, error) {
	text, err := u.text(ctx, base[:drv.HashLen]+nix.NARInfoExtension)
	if err != nil {
		return nil, nil, err
	}
	info, err := u.check(base, text)
	return info, text, err
}

// check reads a narinfo, and makes sure that it is of that path and signed.
func (u *Upstream) check(base string, text []byte) (*nix.NARInfo, error) {
	info := &nix.NARInfo{}
	if err := info.UnmarshalText(text); err != nil {
		return nil, &ProofError{err.Error()}
	}
	if string(info.StorePath) != string(u.store)+"/"+base {
		return nil, proof("the cache has %s under its hash", info.StorePath)
	}
	if info.NARHash.Type() != nix.SHA256 {
		return nil, proof("its digest is a %s, not a SHA-256", info.NARHash.Type())
	}
	if u.signer(info) == "" {
		return nil, proof("none of its %d signatures is by a key that was given", len(info.Sig))
	}
	return info, nil
}

// signer returns the name of the key that is trusted and signed it.
func (u *Upstream) signer(info *nix.NARInfo) string {
	for _, key := range u.keys {
		for _, sig := range info.Sig {
			if nix.VerifyNARInfo([]*nix.PublicKey{key}, info, sig) == nil {
				return key.Name()
			}
		}
	}
	return ""
}

// nar writes the NAR of a path. Without an error it is what was signed. The digest of the packed file is not looked at:
// nobody signs it.
func (u *Upstream) nar(ctx context.Context, w io.Writer, info *nix.NARInfo) error {
	file, err := u.open(ctx, info.URL)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("its archive %q is not there", info.URL)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := unpack(info.Compression, file)
	if err != nil {
		return err
	}
	defer plain.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(plain, info.NARSize+1))
	if err != nil {
		return err
	}
	if got := nix.NewHash(nix.SHA256, sum.Sum(nil)); n != info.NARSize || !got.Equal(info.NARHash) {
		return proof("its archive has %d bytes and the digest %s, not %d and %s", n, got.SRI(), info.NARSize, info.NARHash.SRI())
	}
	return nil
}

// text reads a small file.
func (u *Upstream) text(ctx context.Context, name string) (text []byte, err error) {
	err = patiently(ctx, func() error {
		file, err := u.open(ctx, name)
		if err != nil {
			return err
		}
		defer file.Close()
		text, err = io.ReadAll(io.LimitReader(file, maxText+1))
		if err == nil && len(text) > maxText {
			err = proof("%q: has more than %d bytes", name, maxText)
		}
		return err
	})
	return text, err
}

// attempts is how often something is asked for, if asking again may help: what is not had is built, which takes longer.
const attempts = 3

// patiently does something again after a pause, unless it ended well, or would end in the same way.
func patiently(ctx context.Context, do func() error) (err error) {
	for n := range attempts {
		if n > 0 {
			select {
			case <-time.After(time.Duration(n) * 300 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err = do(); err == nil || final(err) || errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// open opens a file of the cache, by a name that comes from there.
func (u *Upstream) open(ctx context.Context, name string) (io.ReadCloser, error) {
	if u.files != nil {
		return u.files.Open(name)
	}
	ref, err := url.Parse(name)
	if err != nil || ref.IsAbs() || ref.Host != "" || !fs.ValidPath(ref.Path) {
		return nil, proof("%q: is not the name of a file of the cache", name)
	}
	return u.get(ctx, u.base.ResolveReference(ref))
}

// errStalled is the cause of a context that ended because nothing came.
var errStalled = errors.New("stalled")

func (u *Upstream) get(ctx context.Context, from *url.URL) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	b := &body{cancel: cancel, ctx: ctx, stall: u.stall, watch: time.AfterFunc(u.stall, func() { cancel(errStalled) })}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	reply, err := u.client.Do(req)
	if err != nil {
		return nil, errors.Join(b.failure(err), b.Close())
	}
	b.ReadCloser = reply.Body
	switch reply.StatusCode {
	case http.StatusOK:
		return b, nil
	case http.StatusNotFound, http.StatusForbidden, http.StatusGone: // Nix takes these for the same, as S3 gives the second
		return nil, errors.Join(fmt.Errorf("%s: %w", from.Redacted(), fs.ErrNotExist), b.Close())
	}
	return nil, errors.Join(fmt.Errorf("%s: the answer is %s", from.Redacted(), reply.Status), b.Close())
}

// body is a reply that is cut when nothing comes.
type body struct {
	io.ReadCloser
	ctx    context.Context // of this exchange alone
	cancel context.CancelCauseFunc
	watch  *time.Timer
	stall  time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	b.watch.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.failure(err)
	}
	return n, err
}

func (b *body) failure(err error) error {
	if errors.Is(context.Cause(b.ctx), errStalled) {
		return fmt.Errorf("no byte for %s", b.stall)
	}
	return err
}

func (b *body) Close() error {
	b.watch.Stop()
	b.cancel(nil)
	if b.ReadCloser == nil {
		return nil
	}
	return b.ReadCloser.Close()
}
