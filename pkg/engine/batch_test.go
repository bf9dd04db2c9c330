package engine

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestShared: clients that create routes of one Gateway, each one after the other, share the writes of its attachedRoutes, which is right
// whenever a create returns.
func TestShared(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		const clients, each = 16, 20
		before := r.gatewayWrites()
		var working sync.WaitGroup
		for client := range clients {
			working.Go(func() {
				for i := range each {
					r.write(hostRoute(fmt.Sprintf("r-%d-%d", client, i)))
					if attached := r.attached("gw"); attached < int32(i+1) {
						t.Errorf("with %d routes of one client, attachedRoutes is %d", i+1, attached)
					}
				}
			})
		}
		working.Wait()
		r.check("attachedRoutes", r.attached("gw"), int32(clients*each))
		if n := r.gatewayWrites() - before; n > 2*each {
			t.Errorf("%d writes of the Gateway for %d creates by %d clients", n, clients*each, clients)
		}
	})
}

// TestAlone: who has nobody to share with doesn't wait for anybody.
func TestAlone(t *testing.T) {
	inRig(t, putGateway, func(r *rig) {
		start := time.Now()
		for i := range 5 {
			r.write(hostRoute(fmt.Sprint("r-", i)))
		}
		r.check("time that passed", time.Since(start), time.Duration(0))
		r.check("attachedRoutes", r.attached("gw"), int32(5))
	})
}
