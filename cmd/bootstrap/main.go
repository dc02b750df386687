// Command bootstrap gives a person without root a Nix in a directory of their choosing.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"bootstrap/internal/fault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	m := host()
	if m.within != nil {
		ctx = m.within.follow(ctx)
	}
	done := make(chan int)
	go func() { done <- execute(ctx, m) }()
	code := 0
	select {
	case code = <-done:
	case <-ctx.Done():
		stop() // the same signal again ends the process at once
		// A terminal that nobody reads can hold up the last words; it must not hold up the end.
		select {
		case code = <-done:
		case <-time.After(farewell):
			go fmt.Fprintln(os.Stderr, "bootstrap: interrupted\nhint: run the same command again: it goes on from here")
			time.Sleep(lastWords)
			code = int(fault.Interrupted)
		}
	}
	stop()
	os.Exit(code)
}

const (
	// farewell is how long the end of a run may take once it was asked for. Children take up to 1.5 s.
	farewell = 1900 * time.Millisecond
	// lastWords is how long a terminal is waited for that may take nothing.
	lastWords = 50 * time.Millisecond
)
