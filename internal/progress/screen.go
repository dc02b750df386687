package progress

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync"

	"github.com/mattn/go-runewidth"
)

// upAndClear is how mpb begins each frame but the first: up by the lines of the last frame,
// and clear from there.
var upAndClear = regexp.MustCompile(`^\x1b\[(\d+)A\x1b\[J`)

// noLine is the line of a bar that has ended: mpb draws it in two more frames, screen does not.
const noLine = "\x00"

const notDrawn = -1

var colors = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// screen is the terminal as mpb writes to it, a frame at a time.
//
// When a terminal becomes narrower it breaks the lines that no longer fit (xterm alone does not),
// so that the last frame takes more rows than mpb knows of, and the rest of them would stay.
// screen goes up by the rows there are.
type screen struct {
	out   io.Writer
	width func() int

	mu   sync.Mutex
	last []int // columns of each line of the last frame, or notDrawn
	err  error
}

// Write writes one frame.
func (s *screen) Write(frame []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return len(frame), nil // mpb would end all bars, and there is nobody to see it
	}
	body := frame
	var prefix []byte
	if m := upAndClear.FindSubmatch(frame); m != nil {
		body = frame[len(m[0]):]
		lines, _ := strconv.Atoi(string(m[1]))
		// Some terminals go up by one where none is asked for.
		if rows := s.rows(lines); rows > 0 {
			prefix = fmt.Appendf(nil, "\x1b[%dA\x1b[J", rows)
		}
	}
	s.last = s.last[:0]
	drawn := prefix
	for line := range bytes.Lines(body) {
		text := string(bytes.TrimSuffix(line, []byte("\n")))
		if text == noLine {
			s.last = append(s.last, notDrawn)
			continue
		}
		s.last = append(s.last, runewidth.StringWidth(colors.ReplaceAllString(text, "")))
		drawn = append(drawn, line...)
	}
	if len(drawn) == 0 {
		return len(frame), nil
	}
	if _, err := s.out.Write(drawn); err != nil {
		s.err = fmt.Errorf("show progress: %w", err)
	}
	return len(frame), nil
}

// rows returns how many rows of the terminal the last n lines of the last frame take now.
func (s *screen) rows(n int) int {
	width := max(s.width(), 1)
	rows := 0
	for _, w := range s.last[max(0, len(s.last)-n):] {
		if w != notDrawn {
			rows += 1 + max(0, (w-1)/width)
		}
	}
	return rows
}

func (s *screen) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
