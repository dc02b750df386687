package fetch

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"bootstrap/internal/fault"
)

// GoneError says that every address of these files answers 404 or 410.
type GoneError struct {
	Files []File // sorted by name
}

// Error names up to three of the files.
func (e *GoneError) Error() string {
	const most = 3
	var names []string
	for _, file := range e.Files[:min(most, len(e.Files))] {
		names = append(names, fmt.Sprintf("%q", file.Name))
	}
	s := "fetch " + strings.Join(names, ", ")
	if more := len(e.Files) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s + ": gone from every mirror (404)"
}

// DigestError says that a file has the right size and the wrong content.
type DigestError struct {
	File File
	Host string // who sent it; "" where it was put together from several replies
	Got  string // its SHA-256
	HTML bool   // the reply called itself a web page
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("fetch %q%s: sha256 is %s, not %s%s",
		e.File.Name, from(e.Host), e.Got, e.File.SHA256, webPage(e.HTML))
}

// SizeError says that a file has not the size it should have.
type SizeError struct {
	File File
	Host string // who sent it
	Got  int64  // bytes announced or counted; counting ends one byte after the expected end
	HTML bool   // the reply called itself a web page
}

func (e *SizeError) Error() string {
	want := fmt.Sprintf(", not %d", e.File.Size)
	if e.File.Size == 0 {
		want = " and more: too large"
	}
	return fmt.Sprintf("fetch %q%s: %d bytes%s%s", e.File.Name, from(e.Host), e.Got, want, webPage(e.HTML))
}

func from(host string) string {
	if host == "" {
		return ""
	}
	return " from " + host
}

func webPage(html bool) string {
	if !html {
		return ""
	}
	return "; the answer is a web page: a login page or a proxy in between?"
}

// errGone marks a file that is gone from all its addresses.
var errGone = errors.New("gone from every mirror")

// transferError is a failed exchange with a server.
type transferError struct {
	err   error
	retry bool          // the same address may do better next time
	gone  bool          // 404 or 410
	after time.Duration // what Retry-After asks for
	hint  string
}

func (e *transferError) Error() string { return e.err.Error() }
func (e *transferError) Unwrap() error { return e.err }

// rank orders the errors of a file's addresses by how much they tell:
// 0 for an error that no other address can mend.
func rank(err error) int {
	var digest *DigestError
	var size *SizeError
	var transfer *transferError
	switch {
	case errors.As(err, &digest):
		return 4
	case errors.As(err, &size):
		return 3
	case errors.As(err, &transfer) && !transfer.gone:
		return 2
	case transfer != nil:
		return 1
	}
	return 0
}

// ownError returns the error of this package in err's chain, without what go-getter and net/http
// put around it, or nil.
func ownError(err error) error {
	var digest *DigestError
	var size *SizeError
	var transfer *transferError
	switch {
	case errors.As(err, &digest):
		return digest
	case errors.As(err, &size):
		return size
	case errors.As(err, &transfer):
		return transfer
	}
	return nil
}

// reason is err without what a message about a host says anyway.
func reason(err error) string {
	var digest *DigestError
	var size *SizeError
	switch {
	case errors.As(err, &digest):
		return "wrong sha256 " + digest.Got + webPage(digest.HTML)
	case errors.As(err, &size):
		return fmt.Sprintf("wrong size of %d bytes", size.Got) + webPage(size.HTML)
	}
	return err.Error()
}

// finalFault is the error of a file none of whose addresses would do.
func finalFault(file File, host string, err error) error {
	var transfer *transferError
	switch rank(err) {
	case 4, 3:
		return fault.New(fault.Verify, err,
			"The mirror or something on the way changed the file: try again with another --mirror.")
	case 2:
		errors.As(err, &transfer)
		hint := transfer.hint
		if hint == "" {
			hint = "Check the network and the proxy settings (HTTPS_PROXY, HTTP_PROXY), or name another mirror with --mirror."
		}
		return fault.New(fault.General, fmt.Errorf("fetch %q from %s: %w", file.Name, host, err), hint)
	}
	return errGone
}
