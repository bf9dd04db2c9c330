package plane

import (
	"maps"
	"slices"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads"
)

// fetchTimeout is how long endpoints, routes and secrets are waited for (ConfigSource.initial_fetch_timeout, by default).
const fetchTimeout = 15 * time.Second

// phase is how far the data plane has come (Envoy's documentation, "Initialization").
type phase int

const (
	awaitingClusters  phase = iota // the first ones, until they are warm
	awaitingListeners              // likewise
	live                           // connections are accepted
)

// advance does what has become possible by a change. Each call of the owner ends with it, unless it only looks.
func (p *Plane) advance() {
	p.warmClusters()
	if p.phase == awaitingClusters && p.clusters.answered && len(p.clusters.warming) == 0 {
		p.phase = awaitingListeners
		p.client.SubscribeAll(ads.ListenerType)
		p.expectListeners()
	}
	p.subscribe()
	p.holdClusters()
	cold := slices.ContainsFunc(slices.Collect(maps.Values(p.listeners.warming)), func(l *served) bool { return !p.warm(l) })
	if p.phase == awaitingListeners && p.listeners.answered && !cold {
		p.phase = live
		p.log.Info("Initialized")
	}
	if p.phase == live {
		p.warmListeners()
	}
}

// holdClusters doesn't acknowledge clusters before they are warm, so that the server knows when routes may use them
// (ClusterManagerImpl::updateClusterCounts). During the start Envoy doesn't either.
func (p *Plane) holdClusters() {
	if p.phase > awaitingClusters && len(p.clusters.warming) > 0 {
		p.client.Hold(ads.ClusterType)
	} else {
		p.client.Release(ads.ClusterType)
	}
}
