// Command bootstrap gives a person without root a Nix in a directory of their choosing.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"bootstrap/internal/fault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan int)
	go func() { done <- execute(ctx, host()) }()
	code := 0
	select {
	case code = <-done:
	case <-ctx.Done():
		// A terminal that nobody reads can hold up the last words; it must not hold up the end.
		select {
		case code = <-done:
		case <-time.After(farewell):
			code = int(fault.Interrupted)
		}
	}
	stop()
	os.Exit(code)
}

// farewell is how long the end of a run may take once it was asked for. Children take up to 1.5 s.
const farewell = 5 * time.Second
