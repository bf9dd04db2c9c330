package hcm

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// forwarding is what the router filter knows of a request while it sends it to a cluster: see Router::Filter.
type forwarding struct {
	*stream
	route   *router.Forward
	cluster *upstream.Cluster
	retries int           // that were made
	release func()        // of the retry that is under way; or nil
	took    time.Duration // from the header of the request to that of the response
}

// forward sends the request to the cluster of its route, as often as the retry policy says, and the response to the client.
func (s *stream) forward(route *router.Forward) *filter.Reply {
	s.entry.UpstreamCluster = route.Cluster
	cluster := s.m.deps.Clusters.Cluster(route.Cluster)
	if cluster == nil {
		return &filter.Reply{Status: route.NotFoundStatus, Flag: "NC", Details: "cluster_not_found"}
	}
	f := &forwarding{stream: s, route: route, cluster: cluster}
	defer f.endRetry()
	s.match.RewriteRequest(s.x.Request, !s.m.suppress)
	if !s.m.suppress && route.Timeout > 0 {
		s.x.Request.Header.Set("X-Envoy-Expected-Rq-Timeout-Ms", strconv.FormatInt(route.Timeout.Milliseconds(), 10))
	}
	s.body.setLimit(s.bufferLimit())
	retriable := route.Retry != nil && s.body.keepForRetries(s.bufferLimit())
	// "This timeout spans between the point at which the entire downstream request has been processed and when the upstream
	// response has been completely processed." The request of an upgrade never ends.
	if route.Timeout > 0 && s.x.Upgrade == "" {
		s.body.whenComplete(func() {
			timer := time.AfterFunc(route.Timeout, func() { s.cancel(errResponseTimeout) })
			context.AfterFunc(s.ctx, func() { timer.Stop() })
		})
	}
	for {
		response, failure := f.try()
		if s.ctx.Err() != nil {
			if response != nil {
				response.discard()
			}
			return s.ended()
		}
		if retriable && f.wants(response, failure) && f.mayRetry() {
			if response != nil {
				response.discard()
			}
			if reply := f.waitForRetry(); reply != nil || s.aborted {
				return reply
			}
			continue
		}
		f.endRetry()
		if failure != nil {
			return f.refuse(failure)
		}
		s.body.forget()
		return f.respond(response)
	}
}

// wants says whether a try is one that the policy retries.
func (f *forwarding) wants(response *tried, failure *failure) bool {
	if failure != nil {
		return failure.retriable(f.route.Retry)
	}
	return f.route.Retry.OnStatus[response.StatusCode]
}

// mayRetry says whether there may be another try, and notes why there may not.
func (f *forwarding) mayRetry() bool {
	f.endRetry()
	select {
	case <-f.body.overflow:
		return false // the request can't be sent again
	default:
	}
	if f.retries >= f.route.Retry.Retries {
		f.flags = append(f.flags, "URX")
		return false
	}
	done, ok := f.cluster.TryRetry()
	if !ok {
		f.flags = append(f.flags, "UO")
		return false
	}
	f.release = done
	f.retries++
	return true
}

// endRetry gives back what TryRetry has given.
func (f *forwarding) endRetry() {
	if f.release != nil {
		f.release()
		f.release = nil
	}
}

// waitForRetry waits for a random part of the back-off.
func (f *forwarding) waitForRetry() *filter.Reply {
	wait := time.NewTimer(time.Duration(rand.Int64N(int64(f.route.Retry.BackOff(f.retries)) + 1)))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-f.ctx.Done():
		return f.ended()
	case <-f.body.overflow:
		return failureOf(errOverflow).reply(true)
	}
}

// refuse answers that no try got a response.
func (f *forwarding) refuse(failure *failure) *filter.Reply {
	f.entry.FailureReason = failure.transport
	reply := failure.reply(f.retries > 0)
	if failure.overflow && !f.m.suppress {
		reply.Modify = func(h http.Header) { h.Set("X-Envoy-Overloaded", "true") }
	}
	return reply
}

// respond sends the response of the cluster to the client.
func (f *forwarding) respond(response *tried) *filter.Reply {
	defer response.discard()
	f.note("", "via_upstream")
	h := response.Header
	if !f.m.suppress {
		h.Set("X-Envoy-Upstream-Service-Time", strconv.FormatInt(f.took.Milliseconds(), 10))
	}
	f.match.MutateResponse(h)
	if response.StatusCode == http.StatusSwitchingProtocols {
		return f.upgrade(response)
	}
	// With nothing to follow, the header is the end: what has no body by HTTP's rules, and trailers-only responses of gRPC.
	bodiless := response.ContentLength == 0 || f.r.Method == http.MethodHead
	f.start(response.StatusCode, h, bodiless)
	stop := f.interruptWrites()
	defer stop()
	part := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(part)
		f.idle.touch()
		if n > 0 {
			if err := f.w.write(part[:n]); err != nil {
				return f.broken()
			}
			f.idle.touch()
		}
		switch {
		case err == io.EOF:
			f.trailers(response)
			return nil
		case err != nil && f.ctx.Err() != nil:
			return f.broken()
		case err != nil:
			f.abort("UC", "upstream_reset_after_response_started{connection_termination}")
			return nil
		}
	}
}

// broken ends a response that couldn't be sent to its end.
func (f *forwarding) broken() *filter.Reply {
	if f.ctx.Err() != nil {
		return f.ended() // which aborts, since the response has begun
	}
	f.abort("DC", "downstream_remote_disconnect")
	return nil
}

// trailers sends those of a response. As in Envoy, HTTP/1.1 has none (enable_trailers), in both directions.
func (f *forwarding) trailers(response *tried) {
	f.entry.Trailer = response.Trailer
	if response.ProtoMajor != 2 || f.r.ProtoMajor != 2 {
		return
	}
	for name, values := range response.Trailer {
		f.w.Header()[http.TrailerPrefix+name] = values
	}
}
