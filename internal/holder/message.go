package holder

import (
	"fmt"
	"time"

	"bootstrap/internal/fault"
)

// locked says who has the lock and what to do.
func (o Options) locked(owner Owner, v verdict) error {
	where, hint := "", fmt.Sprintf("wait for it to end, or stop it with: kill %d", owner.PID)
	if v == unknown {
		where = fmt.Sprintf(" on host %q", owner.Host)
		hint = fmt.Sprintf("wait for it to end; if you know that it has, remove %q", o.Path)
	} else if owner.Host != "" {
		where = fmt.Sprintf(" on this host (%s)", owner.Host)
	}
	return fault.New(fault.Locked, fmt.Errorf("prefix %q: held by pid %d%s for %s, by %q",
		o.Prefix, owner.PID, where, o.age(owner), owner.Command), hint)
}

// leftBehind is for file systems without flock, where two takeovers could not be told apart.
func (o Options) leftBehind(owner Owner, cause error) error {
	return fault.New(fault.Locked,
		fmt.Errorf("prefix %q: pid %d, which is gone, left its lock %s ago, and flock does not work here: %w",
			o.Prefix, owner.PID, o.age(owner), cause),
		fmt.Sprintf("make sure that nobody else installs into it, then remove %q", o.Path))
}

func (o Options) unreadable(cause error) error {
	return fault.New(fault.Locked, fmt.Errorf("prefix %q: held by somebody, and the lock does not say whom: %w", o.Prefix, cause),
		fmt.Sprintf("wait for that run to end; if you know that it has, remove %q", o.Path))
}

// age returns how long the owner has had the lock. Clocks of two hosts may differ.
func (o Options) age(owner Owner) time.Duration {
	return max(0, o.Now().Sub(owner.Since)).Round(time.Second)
}
