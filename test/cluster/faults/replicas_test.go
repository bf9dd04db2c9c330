package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// writeInTurn has the replicas make routes, one after the other. When a route is answered, its status, that of the Gateway
// and the Envoy configuration are as it makes them, on the replica that has written it; the other one follows.
func writeInTurn(s *scene, replicas ...*cluster.Replica) {
	s.stop() // each answer is about this write
	const routes = 6
	gateway := graph.Key{Kind: graph.KindGateway, Namespace: "default", Name: "turns"}
	s.create(replicas[0], gateway, `{"gatewayClassName": "gateway-apiserver", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}`)
	for n := range routes {
		writer, other := replicas[n%2], replicas[(n+1)%2]
		host := fmt.Sprintf("route-%d.example.com", n)
		route := s.create(writer, graph.Key{Kind: graph.KindHTTPRoute, Namespace: "default", Name: fmt.Sprintf("turns-%d", n)},
			fmt.Sprintf(`{"parentRefs": [{"name": "turns"}], "hostnames": [%q], "rules": [{"filters": [{"type": "RequestRedirect", "requestRedirect": {"port": 443}}]}]}`, host))
		var status gwv1.HTTPRouteStatus
		s.status(route, &status)
		if len(status.Parents) != 1 || len(status.Parents[0].Conditions) == 0 {
			s.Errorf("%s answers a route with the status %v", writer.Name, status)
		}
		if wrong := s.attached(s.Context(), writer, gateway, n+1, host); wrong != "" {
			s.Errorf("at once: %s", wrong)
		}
		s.eventually(func(ctx context.Context) string { return s.attached(ctx, other, gateway, n+1, host) })
	}
}

// create makes an object of ours through a replica, and returns the answer.
func (s *scene) create(r *cluster.Replica, key graph.Key, spec string) *unstructured.Unstructured {
	s.Helper()
	body := fmt.Sprintf(`{"apiVersion": %q, "kind": %q, "metadata": {"name": %q}, "spec": %s}`, resources[key.Kind].GroupVersion(), key.Kind, key.Name, spec)
	answer, err := send(s.Context(), restClient(s, s.to(r)).Post().AbsPath(listPath(key.Kind, key.Namespace)).Body([]byte(body)))
	s.must(err)
	obj, err := decode(answer)
	s.must(err)
	return obj
}

func (s *scene) status(obj *unstructured.Unstructured, status any) {
	s.Helper()
	data, err := json.Marshal(obj.Object["status"])
	s.must(err)
	s.must(json.Unmarshal(data, status))
}

// attached says why a Gateway, as a replica has it, doesn't have so many routes, the last one for a host.
func (s *scene) attached(ctx context.Context, r *cluster.Replica, key graph.Key, routes int, host string) string {
	s.Helper()
	data, err := send(ctx, restClient(s, s.to(r)).Get().AbsPath(objectPath(key)))
	if err != nil {
		return fmt.Sprintf("%s: %v", r.Name, err)
	}
	obj, err := decode(data)
	s.must(err)
	var status gwv1.GatewayStatus
	s.status(obj, &status)
	if len(status.Listeners) != 1 || int(status.Listeners[0].AttachedRoutes) != routes {
		return fmt.Sprintf("%s: %d routes were made, and the Gateway has the status %v", r.Name, routes, status)
	}
	configuration, err := s.xds(ctx, r, key)
	if err != nil || !strings.Contains(string(configuration), host) {
		return fmt.Sprintf("%s: Envoys are not told of %s: %s (%v)", r.Name, host, configuration, err)
	}
	return ""
}
