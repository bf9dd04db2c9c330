package gatewayapi

import (
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/usage"
)

// used is what the control plane has used since some time, if its process is known.
type used struct {
	run   *run
	since time.Time
	cpu   time.Duration
	err   error
}

func (r *run) usage() used {
	u := used{run: r, since: time.Now()}
	if r.PID != 0 {
		u.cpu, u.err = usage.CPU(r.PID)
	}
	return u
}

// row adds what has been used.
func (u used) row(when string) error {
	if u.run.PID == 0 || u.err != nil {
		return u.err
	}
	now, err := usage.CPU(u.run.PID)
	if err != nil {
		return err
	}
	memory, err := usage.Memory(u.run.PID)
	if err != nil {
		return err
	}
	u.run.row("the control plane "+when, "%.3f cores, %d MiB after it", float64(now-u.cpu)/float64(time.Since(u.since)), memory>>20)
	return nil
}
