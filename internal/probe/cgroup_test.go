package probe_test

import (
	"os"
	"path/filepath"
	"testing"

	"bootstrap/internal/probe"
)

func TestMemoryIsWhatTheControlGroupGrants(t *testing.T) {
	const unlimited = "9223372036854771712" // how version 1 says that there is no limit
	tests := []struct {
		name, group string
		limits      map[string]string
		want        int64
	}{
		{"no groups", "", nil, 3 << 20},
		{"no limit", "0::/a/b\n", map[string]string{"a/b/memory.max": "max"}, 3 << 20},
		{"a limit", "0::/a/b\n", map[string]string{"a/b/memory.max": "2097152\n"}, 2 << 20},
		{"a limit further up", "0::/a/b\n", map[string]string{"a/memory.max": "1048576\n", "a/b/memory.max": "2097152\n"}, 1 << 20},
		{"a group of its own", "0::/\n", map[string]string{"memory.max": "4096\n"}, 4096},
		{"more than there is", "0::/a\n", map[string]string{"a/memory.max": "9999999999\n"}, 3 << 20},
		{
			"version 1", "9:memory:/job\n8:cpu:/job\n",
			map[string]string{"memory/job/memory.limit_in_bytes": "8192\n", "memory/memory.limit_in_bytes": unlimited},
			8192,
		},
		{"nonsense", "x\n0::/a\n", map[string]string{"a/memory.max": "much"}, 3 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proc, groups := shortTemp(t), shortTemp(t)
			write := func(path, text string) {
				must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				must(t, os.WriteFile(path, []byte(text), 0o644))
			}
			write(filepath.Join(proc, "meminfo"), "MemTotal: 4096 kB\nMemAvailable: 3072 kB\n")
			write(filepath.Join(proc, "self", "cgroup"), tt.group)
			for name, text := range tt.limits {
				write(filepath.Join(groups, name), text)
			}
			f := probe.Run(t.Context(), probe.Options{Layout: resolve(t, "/no-such-opt"), Proc: proc, CGroup: groups})
			if f.Memory.Available != tt.want {
				t.Errorf("available %d, want %d", f.Memory.Available, tt.want)
			}
		})
	}
}
