package engine

import (
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/lint"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// linter looks at all that a scope holds after each of its publications, and logs what is wrong, once for as long as it is.
type linter struct {
	logger klog.Logger
	xds    *cache.Cache
	known  map[string]map[lint.Finding]bool // by scope
}

func newLinter(xds *cache.Cache, logger klog.Logger) *linter {
	return &linter{logger, xds, map[string]map[lint.Finding]bool{}}
}

func (l *linter) scope(name string) {
	found := map[lint.Finding]bool{}
	for _, f := range l.findings(name) {
		found[f] = true
		if !l.known[name][f] {
			l.logger.Error(nil, "Envoy configuration has a fault", "scope", name,
				"rule", f.Rule, "resource", f.Resource, "path", f.Path, "detail", f.Detail)
			lintFindings.WithLabelValues(string(f.Rule)).Inc()
		}
	}
	for f := range l.known[name] {
		if !found[f] {
			lintFindings.WithLabelValues(string(f.Rule)).Dec()
		}
	}
	delete(l.known, name)
	if len(found) > 0 {
		l.known[name] = found
	}
}

func (l *linter) findings(scope string) []lint.Finding {
	snapshot := &lint.Snapshot{Absent: []string{translate.UnresolvedCluster}}
	for _, r := range l.xds.Resources(scope) {
		m, err := r.Any().UnmarshalNew()
		if err != nil {
			return []lint.Finding{{Rule: lint.UnknownType, Resource: r.TypeURL() + " " + r.Name(), Detail: err.Error()}}
		}
		switch m := m.(type) {
		case *listenerv3.Listener:
			snapshot.Listeners = append(snapshot.Listeners, m)
		case *routev3.RouteConfiguration:
			snapshot.Routes = append(snapshot.Routes, m)
		case *clusterv3.Cluster:
			snapshot.Clusters = append(snapshot.Clusters, m)
		case *endpointv3.ClusterLoadAssignment:
			snapshot.Endpoints = append(snapshot.Endpoints, m)
		case *tlsv3.Secret:
			snapshot.Secrets = append(snapshot.Secrets, m)
		default:
			panic(fmt.Sprintf("lint: a resource of type %T is published", m))
		}
	}
	return slices.DeleteFunc(snapshot.Check(), func(f lint.Finding) bool {
		// What nothing in a scope refers to may be used in the one that it lies over.
		return f.Rule == lint.Unused && nodes.IsConsumerScope(scope)
	})
}
