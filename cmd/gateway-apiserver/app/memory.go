package app

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

const (
	// gcPercent is how much garbage a running server lets come together, in percent of what lives. Of what it reads and writes
	// little is garbage, so half of Go's usual 100 costs hardly any CPU, and saves a fifth of the memory.
	gcPercent = 50
	// startup is for how long after a start there are more urgent things than memory: all xDS clients come at once.
	startup = 10 * time.Second
)

// saveMemory has the process use less memory, once its start is over: that makes much garbage, which is best left until then.
// Whoever sets GOGC or GOMEMLIMIT (https://pkg.go.dev/runtime) has decided otherwise.
func saveMemory(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	select {
	case <-time.After(startup):
		debug.SetGCPercent(gcPercent)
		debug.FreeOSMemory()
	case <-ctx.Done():
	}
}
