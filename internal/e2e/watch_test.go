//go:build e2e

package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// watch measures a process and a directory while the process runs.
type watch struct {
	stop   chan struct{}
	ended  sync.WaitGroup
	memory int64 // most bytes the process itself had in memory
	disk   int64 // most bytes the directory took
}

// newWatch begins to measure. A process that replaces its program begins anew with its memory.
func newWatch(pid int, dir string) *watch {
	w := &watch{stop: make(chan struct{})}
	w.ended.Go(func() {
		w.often(250*time.Millisecond, func() {
			if now := highWater(pid); now > 0 {
				w.memory = now
			}
		})
	})
	w.ended.Go(func() { w.often(2*time.Second, func() { w.disk = max(w.disk, diskUse(dir)) }) })
	return w
}

// often takes samples, but spends no more than a thirtieth of the time on it:
// it is what is measured that should have the processors.
func (w *watch) often(least time.Duration, sample func()) {
	for pause := least; ; {
		select {
		case <-w.stop:
			return
		case <-time.After(pause):
		}
		begin := time.Now()
		sample()
		pause = max(least, 30*time.Since(begin))
	}
}

// end ends the measuring; afterwards the numbers may be read.
func (w *watch) end() {
	close(w.stop)
	w.ended.Wait()
}

// highWater returns the most a process had in memory since it runs its program (VmHWM, proc_pid_status(5)).
func highWater(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10
		}
	}
	return -1
}

// diskUse returns the bytes of the blocks that a tree takes. Files come and go while it counts.
func diskUse(root string) int64 {
	var total int64
	seen := map[uint64]bool{}
	_ = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && !seen[st.Ino] {
			seen[st.Ino] = true
			total += st.Blocks * 512
		}
		return nil
	})
	return total
}
