package stages

// What a whole installation takes, as measured on amd64 with the lock of this release; see
// docs/STAGES.md for how. The seed's own bytes are known from the lock.
const (
	hostBytes      = 60 << 20  // unpacked, relinked
	toolchainBytes = 562 << 20 // unpacked, relinked, with the runtime libraries
	scaffoldBytes  = 16 << 20  // the bootstrap nix in the store
	nixBytes       = 9 << 20   // the native nix in the store
	buildBytes     = 345 << 20 // the build directory of the bootstrap nix, just before it is linked
	inodes         = 36_000    // of all of that
	relocatedOver  = 18 << 20  // what a relocated prefix has besides the store paths of the bundle
	relocatedCount = 1_500     // inodes of that
	runtimeBytes   = 84 << 20  // a prefix in runtime mode
	runtimeInodes  = 900       // of that
	compilerBytes  = 3 << 29   // memory of one compiler, at its largest unit
)

// How long the stages take on a machine of the kind these were measured on, in seconds of one
// processor for the compiles. They serve for the first estimate; progress has its own.
const (
	hostSeconds      = 8
	toolchainSeconds = 60
	bootstrapCPU     = 270
	nativeCPU        = 370
	otherSeconds     = 3
	takeSeconds      = 15       // of a toolchain that a cache has, once it is downloaded
	relocatedSeconds = 1        // of each stage, where a bundle is installed
	expectedRate     = 10 << 20 // bytes a second
)

// footprint returns how many bytes and inodes the prefix takes when it takes most, and in the end.
func (r *installation) footprint() (peak, keep, files int64) {
	if r.From != nil {
		keep = relocatedOver
		if a := r.From.Announced; a != nil {
			keep += a.Head.Bytes
		}
		return keep, keep, relocatedCount
	}
	if r.Runtime || r.set != nil { // of a set, nobody knows what its packages take
		return runtimeBytes, runtimeBytes, runtimeInodes
	}
	if len(r.offers) > 0 && !r.builds[Toolchain] && !r.builds[Native] {
		keep = toolchainBytes + nixBytes
		return keep + hostBytes, keep, inodes
	}
	var seed int64
	for _, e := range r.seed() {
		seed += e.Size
	}
	keep = seed + toolchainBytes + nixBytes
	return keep + hostBytes + scaffoldBytes + buildBytes, keep, inodes
}

// present returns how much of that is there already, by the stages that are done.
func (r *installation) present(p *Plan) int64 {
	var bytes int64
	if r.set != nil {
		return 0
	}
	if p.State(Host).Done {
		bytes += hostBytes
	}
	if p.State(Toolchain).Done {
		bytes += p.SeedBytes + toolchainBytes
	}
	if p.State(Native).Done {
		bytes += nixBytes + scaffoldBytes + buildBytes
	}
	return bytes
}

// expected returns how many seconds a stage is expected to take here.
func (r *installation) expected(stage string) float64 {
	if r.From != nil {
		return relocatedSeconds
	}
	if r.offers[stage] != nil {
		return map[string]float64{Toolchain: takeSeconds, Native: otherSeconds}[stage]
	}
	jobs := float64(r.jobs())
	if r.set != nil && (stage == Native || stage == Toolchain) {
		return 0 // nobody knows
	}
	return map[string]float64{
		Host: hostSeconds, Toolchain: toolchainSeconds,
		Bootstrap: bootstrapCPU / jobs, Native: nativeCPU / jobs,
		Runtime: otherSeconds, Configure: otherSeconds, Install: otherSeconds, Prove: otherSeconds,
	}[stage]
}
