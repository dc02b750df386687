package doctor

import "context"

// TryLocks makes the check of locks alone, which takes long where they hang.
func TryLocks(ctx context.Context, o Options, dir string) []Check {
	o.System = o.System.defaults()
	return []Check{o.tryLocks(ctx, dir)}
}
