package prompt

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	errInterrupt = errors.New("interrupted at the keyboard")
	errHangUp    = errors.New("end of input")
)

// The bytes promptui is given; it knows them as keys of its own (promptui.KeyPrev and so on).
const (
	keyPrev  = 16 // ctrl-P
	keyNext  = 14 // ctrl-N
	keyEnter = '\r'
)

// escapeWait is how long, in milliseconds, the rest of an arrow key may take after its ESC.
const escapeWait = 100

// keys reads a terminal, and is the standard input of promptui. It translates what it reads to
// the few keys promptui needs, so that the ones with surprises – ctrl-Z stops the parent process,
// tab and ctrl-R open modes without a way out – never arrive.
//
// A Read returns one byte and takes no more from the terminal than that needs:
// promptui's buffer is thrown away with the question, and type-ahead with it.
type keys struct {
	in    *os.File
	opts  *Options
	pos   int    // where promptui's cursor will be after the bytes in ready
	ready []byte // what promptui is to be given next
	err   error  // why there is no more

	wakeR, wakeW *os.File // wakeR can be read from as soon as ctx is done
	unhook       func() bool
}

func newKeys(ctx context.Context, o *Options, pos int) (*keys, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	k := &keys{in: o.In, opts: o, pos: pos, wakeR: r, wakeW: w}
	k.unhook = context.AfterFunc(ctx, func() { _, _ = w.Write([]byte{0}) })
	return k, nil
}

func (k *keys) close() {
	k.unhook()
	_ = k.wakeR.Close()
	_ = k.wakeW.Close()
}

// Close does nothing: promptui's idea of when it is done with its input is not ours.
func (k *keys) Close() error { return nil }

// Read gives promptui its next byte. Whatever ends the question is an [io.EOF] to it, because
// on an interrupt it redraws once more while it is tidying up; the reason is in k.err.
func (k *keys) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(k.ready) == 0 && k.err == nil {
		b, err := k.next(-1)
		if err != nil {
			k.err = err
			break
		}
		k.press(b)
	}
	if len(k.ready) == 0 {
		return 0, io.EOF
	}
	p[0] = k.ready[0]
	k.ready = k.ready[1:]
	return 1, nil
}

func (k *keys) press(b byte) {
	switch b {
	case 3: // ctrl-C
		k.err = errInterrupt
	case 4: // ctrl-D
		k.err = errHangUp
	case '\r', '\n': // typed ahead before the terminal was raw, enter is a line feed
		k.ready = append(k.ready, keyEnter)
	case keyPrev:
		k.move(k.pos - 1)
	case keyNext:
		k.move(k.pos + 1)
	case 0x1b:
		k.escape()
	default:
		if i := k.opts.match(string(rune(b))); i >= 0 && b < 0x80 {
			k.move(i)
			k.ready = append(k.ready, keyEnter)
		}
	}
}

// escape reads the rest of ESC [ A or ESC O A, and of every longer sequence of that form.
func (k *keys) escape() {
	b, err := k.next(escapeWait)
	if err != nil || b != '[' && b != 'O' {
		return // escape alone, or with a letter: nothing to us
	}
	for {
		if b, err = k.next(escapeWait); err != nil {
			return
		}
		if b >= 0x40 && b <= 0x7e {
			break
		}
	}
	switch b {
	case 'A':
		k.move(k.pos - 1)
	case 'B':
		k.move(k.pos + 1)
	}
}

// move takes promptui's cursor to item i, as far as there are items.
func (k *keys) move(i int) {
	i = max(0, min(i, len(k.opts.Items)-1))
	for ; k.pos > i; k.pos-- {
		k.ready = append(k.ready, keyPrev)
	}
	for ; k.pos < i; k.pos++ {
		k.ready = append(k.ready, keyNext)
	}
}

// line reads up to a line end, which it drops.
func (k *keys) line() (string, error) {
	var line []byte
	for {
		b, err := k.next(-1)
		switch {
		case err != nil:
			k.err = err
			return "", err
		case b == '\n' || b == '\r':
			return strings.TrimSpace(string(line)), nil
		}
		line = append(line, b)
	}
}

// next reads one byte from the terminal. It gives up when ctx is done,
// and after timeout milliseconds unless that is negative.
func (k *keys) next(timeout int) (byte, error) {
	fds := []unix.PollFd{
		{Fd: int32(k.in.Fd()), Events: unix.POLLIN},
		{Fd: int32(k.wakeR.Fd()), Events: unix.POLLIN},
	}
	for {
		n, err := unix.Poll(fds, timeout)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, os.ErrDeadlineExceeded
		case fds[1].Revents != 0:
			return 0, context.Canceled
		}
		break
	}
	var b [1]byte
	n, err := unix.Read(int(k.in.Fd()), b[:])
	if err != nil && !errors.Is(err, unix.EIO) { // EIO: the terminal has hung up
		return 0, err
	}
	if n <= 0 {
		return 0, errHangUp
	}
	return b[0], nil
}
