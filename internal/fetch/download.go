package fetch

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"time"
)

const (
	firstDelay  = 500 * time.Millisecond // before the second attempt; doubled for each more
	longestWait = 15 * time.Second
	longestBusy = time.Minute // most that Retry-After is granted
	headway     = 64 << 10    // bytes that make an attempt count as a new first one
)

// download is the work on one file that is not in the cache.
type download struct {
	f     *Fetcher
	file  File
	part  *part
	meter *meter
}

// run tries each address in turn. Errors are faults, [errGone], or the context's.
func (d *download) run(ctx context.Context) (string, error) {
	var worst error
	var worstHost string
	for i, raw := range d.file.URLs {
		src, err := d.f.parseURL(raw)
		if err != nil {
			return "", err
		}
		path, err := d.from(ctx, src)
		if err == nil {
			d.f.trouble.over(hostOf(src))
			d.f.remember(d.file.SHA256, path)
			return path, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if rank(err) == 0 {
			return "", localFault(d.f.cache.dir, err)
		}
		if rank(err) > rank(worst) {
			worst, worstHost = err, hostOf(src)
		}
		if i+1 < len(d.file.URLs) {
			d.troubled(hostOf(src), err, 0, "%q, trying the next address", d.file.Name)
		} else if rank(err) > 2 {
			d.f.warn("%s: %s: %q", hostOf(src), reason(err), d.file.Name)
		}
	}
	return "", finalFault(d.file, worstHost, worst)
}

// from fetches the file from one address, as often as is worth it.
func (d *download) from(ctx context.Context, src *url.URL) (string, error) {
	high, err := d.part.size()
	if err != nil {
		return "", err
	}
	attempts := d.f.opts.Retries + 1
	doubted := false
	for n := 1; ; n++ {
		path, resumed, err := d.attempt(ctx, src)
		if err == nil || ctx.Err() != nil {
			return path, err
		}
		if rank(err) > 2 {
			// What an earlier run or reply left may be what is wrong, and not this server.
			if !resumed || doubted {
				return "", err
			}
			doubted = true
			d.f.warn("%s: %q, continued from a partial download, is wrong (%s): starting over",
				hostOf(src), d.file.Name, reason(err))
			continue
		}
		var transfer *transferError
		if !errors.As(err, &transfer) || !transfer.retry {
			return "", err
		}
		size, serr := d.part.size()
		if serr != nil {
			return "", serr
		}
		if size >= high+headway {
			high, n = size, 1
		}
		if n >= attempts {
			return "", err
		}
		delay := backoff(n, transfer.after)
		d.troubled(hostOf(src), err, n, "%q, attempt %d of %d in %s", d.file.Name, n+1, attempts, delay.Round(100*time.Millisecond))
		if err := d.f.opts.Sleep(ctx, delay); err != nil {
			return "", err
		}
	}
}

// attempt makes one exchange with a server, checks what came of it and commits it.
// resumed says that a part of the result is from before. What is wrong is thrown away.
func (d *download) attempt(ctx context.Context, src *url.URL) (path string, resumed bool, err error) {
	have, err := d.part.size()
	if err != nil {
		return "", false, err
	}
	if have > d.limit() {
		if err := d.part.reset(); err != nil {
			return "", false, err
		}
		have = 0
	}
	x := &exchange{download: d, url: src, offset: have}
	if d.file.Size == 0 || have < d.file.Size {
		err = x.run(ctx)
	} else {
		d.meter.set(have)
	}
	if err == nil {
		path, err = d.finish(ctx, hostOf(src), x.html)
	}
	resumed = x.offset > 0
	if rank(err) > 2 && !x.refused {
		if resumed {
			x.blameless(err)
		}
		if rerr := d.part.reset(); rerr != nil {
			return "", resumed, rerr
		}
		d.meter.set(0)
	}
	return path, resumed, err
}

// finish checks what is on disk and makes it a file of the cache.
func (d *download) finish(ctx context.Context, host string, html bool) (string, error) {
	size, err := d.part.size()
	if err != nil {
		return "", err
	}
	if d.file.Size > 0 && size != d.file.Size {
		return "", &SizeError{File: d.file, Host: host, Got: size, HTML: html}
	}
	if _, err := d.part.file.Seek(0, 0); err != nil {
		return "", err
	}
	digest, err := hash(ctx, d.part.file)
	if err != nil {
		return "", err
	}
	if digest != d.file.SHA256 {
		return "", &DigestError{File: d.file, Host: host, Got: digest, HTML: html}
	}
	return d.f.cache.commit(d.part, digest)
}

// limit is the most bytes the file may have.
func (d *download) limit() int64 {
	if d.file.Size > 0 {
		return d.file.Size
	}
	return d.f.opts.MaxBytes
}

// backoff is the time to wait after the n-th failure: twice as long each time, a random half of it
// taken off, so that many clients of one mirror do not come back together.
func backoff(n int, after time.Duration) time.Duration {
	d := min(firstDelay<<min(n-1, 10), longestWait)
	d = d/2 + rand.N(d/2)
	return max(d, min(after, longestBusy))
}

// Sleep waits for a time, and returns early, with an error, when ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
