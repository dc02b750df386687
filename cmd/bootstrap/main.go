// Command bootstrap gives a person without root a Nix in a directory of their choosing.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := execute(ctx, host())
	stop()
	os.Exit(code)
}
