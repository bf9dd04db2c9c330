package hcm

import (
	"context"
	"io"
	"net/http"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/call"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// mirror sends copies of the request to the clusters that the route mirrors it to, while it is sent to its own. Nobody waits for
// their responses, nor retries them.
func (f *forwarding) mirror() {
	for _, name := range f.route.Mirrors {
		cluster := f.m.deps.Clusters.Cluster(name)
		if cluster == nil || !f.m.begin() {
			continue
		}
		copied := f.outgoing()
		call.Mark(copied.Header)
		go func() {
			defer f.m.active.Done()
			f.send(cluster, copied)
		}()
	}
}

func (f *forwarding) send(cluster *upstream.Cluster, r *http.Request) {
	// It outlives the request, but not the connections of the manager, nor the time that the request may take.
	ctx := f.m.life
	if f.route.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.route.Timeout)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() { _ = r.Body.Close() }) // see try
	defer stop()
	host, err := cluster.Pick(upstream.Choice{})
	if err == nil {
		var response *http.Response
		if response, err = cluster.RoundTrip(ctx, host, r); err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close() // its end was read, or can't be
		}
	} else {
		_ = r.Body.Close() // which the cluster does otherwise
	}
	if err != nil {
		f.m.deps.Logger.Debug("Mirroring a request", "cluster", cluster.Name(), "err", err)
	}
}
