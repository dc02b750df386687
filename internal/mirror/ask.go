package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	abreast  = 4        // mirrors asked at a time
	headSize = 16 << 10 // of an InRelease; its first fields are in the first kilobyte
)

// asker asks mirrors whether they have a suite.
type asker struct {
	suite   string
	timeout time.Duration
	client  *http.Client
}

func newAsker(o Options) *asker {
	a := &asker{suite: o.Suite, timeout: o.Timeout}
	if a.timeout <= 0 {
		a.timeout = 5 * time.Second
	}
	t := o.Transport
	if t == nil {
		t = &http.Transport{DisableKeepAlives: true}
	}
	a.client = &http.Client{Transport: t, CheckRedirect: checkRedirect}
	return a
}

// checkRedirect follows ten redirects and none from https to http.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > 10 {
		return errors.New("more than 10 redirects")
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("redirect from https to http")
	}
	return nil
}

// ask returns nil if the mirror has the suite, and the suite is Debian's:
// other archives carry Debian's suite names too, and login pages answer to every name.
func (a *asker) ask(ctx context.Context, mirror string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("no answer in %s", a.timeout))
	defer cancel()
	head, err := a.head(ctx, mirror+"/dists/"+url.PathEscape(a.suite)+"/InRelease")
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // ue prints the address, login and all
		}
		return err
	}
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(line, ":")
		if origin := strings.TrimSpace(value); name == "Origin" && (origin == "Debian" || origin == "Debian Backports") {
			return nil
		}
	}
	if strings.Contains(strings.ToLower(head[:min(len(head), 512)]), "<html") {
		return errors.New("it answers with a web page: a login page or a proxy in between?")
	}
	return errors.New("not an archive of Debian's")
}

// head returns the beginning of the file at an address.
func (a *asker) head(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("dists/%s/InRelease: %d %s", a.suite, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	// Only the beginning matters: a connection that is cut after it has told enough.
	head, err := io.ReadAll(io.LimitReader(resp.Body, headSize))
	if len(head) == 0 && err != nil {
		return "", err
	}
	return string(head), nil
}

// race asks the mirrors in turn, a few at a time, and returns the first to answer.
// Its error is the one of the first mirror.
func (a *asker) race(ctx context.Context, mirrors []string) (string, error) {
	if len(mirrors) == 0 {
		return "", errors.New("the list is empty")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan int)
	winner := make(chan string, len(mirrors))
	errs := make([]error, len(mirrors))
	var wait sync.WaitGroup
	for range min(abreast, len(mirrors)) {
		wait.Go(func() {
			for i := range queue {
				if errs[i] = a.ask(ctx, mirrors[i]); errs[i] == nil {
					winner <- mirrors[i]
					cancel()
				}
			}
		})
	}
	for i := range mirrors {
		select {
		case queue <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	wait.Wait()
	select {
	case m := <-winner:
		return m, nil
	default:
		return "", fmt.Errorf("%s: %w", Redact(mirrors[0]), errs[0])
	}
}
