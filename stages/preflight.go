package stages

import (
	"bootstrap/internal/mirror"
	"bootstrap/internal/probe"
)

// Need returns what is asked of the host, less what is there already.
// It is the zero value where there is nothing to do.
func (p *Plan) Need() probe.Need {
	if p.run.arch == "" || p.Complete() {
		return probe.Need{}
	}
	need := probe.Need{
		Bytes: p.PeakBytes - p.run.present(p), Inodes: p.Inodes, CacheBytes: p.FetchBytes, Kernel: minimumKernel,
	}
	if p.Cached != nil {
		need.CacheBytes += p.Cached.FetchBytes
	}
	return need
}

// Jobs returns how many compilers are going to run at a time.
func (p *Plan) Jobs() int { return p.run.jobs() }

// MirrorOptions returns how the plan looks for a mirror.
func (p *Plan) MirrorOptions() mirror.Options { return p.run.mirrorOptions() }
