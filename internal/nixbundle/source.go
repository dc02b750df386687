package nixbundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
)

// Source is where a bundle comes from, and by what it is known. One of Key and SHA256 must be set.
type Source struct {
	Location string // an absolute path, or an address of http or https
	Shown    string // the location for messages, without a password
	Key      *PublicKey
	SHA256   string // of the whole file, in 64 lower-case digits

	CacheDir  string
	Transport http.RoundTripper
	Sink      event.Sink
	Stage     string
	Now       func() time.Time
}

// Opened is a bundle whose digest was right, and that was found signed if a key was given.
type Opened struct {
	*Announced
	file *os.File
}

// Body returns what follows the head, from its beginning.
func (o *Opened) Body() io.Reader { return &checked{r: o.file, sum: sha256.New(), want: o.Head.SHA256} }

// Close closes the file.
func (o *Opened) Close() error { return o.file.Close() }

// IsURL reports whether a location is an address.
func IsURL(location string) bool {
	return strings.HasPrefix(location, "http://") || strings.HasPrefix(location, "https://")
}

// Announce reads the head. With a key it is found signed; with a digest alone it is as trustworthy as
// where it comes from, and is good for saying what would be done, and for nothing else.
func (s *Source) Announce(ctx context.Context) (a *Announced, err error) {
	r, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if a, err = ReadHead(r); err != nil {
		return nil, s.fault(err)
	}
	return a, s.signed(a)
}

// begin opens the source for reading its head.
func (s *Source) begin(ctx context.Context) (io.ReadCloser, error) {
	if !IsURL(s.Location) {
		return s.open(s.Location)
	}
	if s.SHA256 != "" {
		f, err := s.fetcher(s.Transport)
		if err != nil {
			return nil, err
		}
		if n, _ := f.Missing([]fetch.File{s.whole()}); n == 0 {
			path, err := f.Fetch(ctx, []fetch.File{s.whole()})
			if err != nil {
				return nil, err
			}
			return s.open(path[s.SHA256])
		}
	}
	return s.get(ctx)
}

func (s *Source) open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("bundle: %w", err), "give a file that `bootstrap bundle create` has written, or its address")
	}
	return f, nil
}

// headTimeout is how long a server may take for the head.
const headTimeout = 30 * time.Second

// get asks a server for the file; whoever has read the head closes it.
func (s *Source) get(ctx context.Context) (io.ReadCloser, error) {
	ctx, cancel := context.WithTimeout(ctx, headTimeout)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Location, nil)
	if err != nil {
		cancel()
		return nil, fault.New(fault.Usage, fmt.Errorf("bundle %q: is no address", s.Shown), "an address is http://host/path or https://host/path")
	}
	// The head is at the beginning, whether or not the server knows about ranges.
	req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", maxHead+7))
	reply, err := (&http.Client{Transport: s.Transport}).Do(req)
	if err != nil {
		cancel()
		return nil, fault.New(fault.General, fmt.Errorf("bundle %q: not reached: %w", s.Shown, bare(err)), "check the address, or download the file and give its path")
	}
	if reply.StatusCode != http.StatusOK && reply.StatusCode != http.StatusPartialContent {
		reply.Body.Close()
		cancel()
		return nil, fault.New(fault.General, fmt.Errorf("bundle %q: the server answers %s", s.Shown, reply.Status), "check the address, or download the file and give its path")
	}
	return struct {
		io.Reader
		io.Closer
	}{reply.Body, closer(func() error { defer cancel(); return reply.Body.Close() })}, nil
}

type closer func() error

func (c closer) Close() error { return c() }

// bare takes the address off an error of net/http: there may be a password in it.
func bare(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// Open brings the bundle here, and makes sure that it is the one that was meant, all of it.
func (s *Source) Open(ctx context.Context) (o *Opened, err error) {
	if s.Key == nil && s.SHA256 == "" {
		return nil, errors.New("bundle: neither a key nor a digest to know it by")
	}
	file, path := (*os.File)(nil), s.Location
	var a *Announced
	switch {
	case IsURL(s.Location) && s.SHA256 != "":
		path, err = s.fetch(ctx, s.whole(), s.Transport)
	case IsURL(s.Location):
		// The digest of what follows the head is in the head, which is found signed first.
		if a, err = s.Announce(ctx); err == nil {
			path, err = s.fetch(ctx, s.body(a), Behind(a.Length, s.Transport))
		}
	}
	if err != nil {
		return nil, err
	}
	if file, err = s.open(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if s.SHA256 != "" {
		if err := s.compare(ctx, file); err != nil {
			return nil, err
		}
	}
	if a == nil {
		if a, err = ReadHead(file); err != nil {
			return nil, s.fault(err)
		}
		if err := s.signed(a); err != nil {
			return nil, err
		}
	}
	return &Opened{a, file}, s.checkBody(ctx, a, file)
}

func (s *Source) whole() fetch.File {
	return fetch.File{SHA256: s.SHA256, Name: path.Base(s.Shown), URLs: []string{s.Location}}
}

func (s *Source) body(a *Announced) fetch.File {
	return fetch.File{SHA256: a.Head.SHA256, Size: a.Head.Size, Name: path.Base(s.Shown), URLs: []string{s.Location}}
}

func (s *Source) fetcher(t http.RoundTripper) (*fetch.Fetcher, error) {
	return fetch.New(fetch.Options{CacheDir: s.CacheDir, Transport: t, Sink: s.Sink, Stage: s.Stage, Now: s.Now})
}

// fetch brings a file into the cache, which takes nothing that has another digest.
func (s *Source) fetch(ctx context.Context, file fetch.File, t http.RoundTripper) (string, error) {
	f, err := s.fetcher(t)
	if err != nil {
		return "", err
	}
	paths, err := f.Fetch(ctx, []fetch.File{file})
	if err != nil {
		return "", err
	}
	return paths[file.SHA256], nil
}

// compare holds the whole file against the digest that was given.
func (s *Source) compare(ctx context.Context, file io.ReadSeeker) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, &interruptible{ctx, file}); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != s.SHA256 {
		return fault.New(fault.Verify, fmt.Errorf("bundle %q: its sha256 is %s, not %s", s.Shown, got, s.SHA256),
			"it is not the file that was meant, or damaged; nothing of it was used")
	}
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// signed makes sure that the head is signed by the key, if there is one.
func (s *Source) signed(a *Announced) error {
	if s.Key == nil || a.SignedBy(s.Key) {
		return nil
	}
	what := "it has no signature"
	if len(a.Signatures) > 0 {
		what = "none of its signatures is by that key"
	}
	return fault.New(fault.Verify, fmt.Errorf("bundle %q: %s: %s", s.Shown, what, s.Key),
		"ask whoever made it for the key, or give --from-sha256; nothing of it was used")
}

// checkBody holds what follows the head against the digest in there. The file stands behind the head,
// and does so in the end.
func (s *Source) checkBody(ctx context.Context, a *Announced, file io.ReadSeeker) error {
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, &interruptible{ctx, file})
	if err != nil {
		return err
	}
	if n != a.Head.Size || hex.EncodeToString(sum.Sum(nil)) != a.Head.SHA256 {
		return s.fault(bad("what follows its head is damaged"))
	}
	_, err = file.Seek(start, io.SeekStart)
	return err
}

// fault makes an error one about the file.
func (s *Source) fault(err error) error { return Fault(s.Shown, err) }

// Fault makes of an error of reading a bundle one about the file, and of the kind that fits.
func Fault(file string, err error) error {
	var f *FormatError
	if err == nil || !errors.As(err, &f) {
		return err
	}
	return fault.New(fault.Verify, fmt.Errorf("bundle %q: %w", file, err),
		"it was damaged on the way, or is not by `bootstrap bundle create`; nothing of it was used")
}

// checked is a body that is read once more, from the same file: somebody may have changed it meanwhile.
type checked struct {
	r   io.Reader
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	want string
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.sum.Sum(nil)) != c.want {
		return n, bad("it was changed while it was read")
	}
	return n, err
}

// interruptible ends with the context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}
