package scale

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// The kinds that are loaded.
var (
	gateways       = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}
	httpRoutes     = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	services       = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	endpointSlices = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}
)

const (
	namespace = "default"
	// writers is how many clients create objects at the same time.
	writers = 16
)

type object = map[string]any

// create creates n objects by several clients.
func (s *server) create(ctx context.Context, kind schema.GroupVersionResource, n int, build func(i int) object) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			_, err := s.Resource(kind).Namespace(namespace).Create(ctx, &unstructured.Unstructured{Object: build(i)}, metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}

// patch applies a merge patch to an object.
func (s *server) patch(ctx context.Context, kind schema.GroupVersionResource, name, patch string) error {
	_, err := s.Resource(kind).Namespace(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func meta(name string) object { return object{"name": name} }

// gateway has a listener on port 80.
func gateway(name string) object {
	return object{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": meta(name),
		"spec": object{
			"gatewayClassName": "gateway-apiserver",
			"listeners":        []any{object{"name": "http", "protocol": "HTTP", "port": int64(80)}},
		},
	}
}

func service(name string) object {
	return object{
		"apiVersion": "v1", "kind": "Service", "metadata": meta(name),
		"spec": object{"ports": []any{object{"name": "http", "port": int64(80)}}},
	}
}

// slice is where the service of the same name has two endpoints, which depend on a generation.
func slice(name string, generation int) object {
	return object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata":    object{"name": name, "labels": object{"kubernetes.io/service-name": name}},
		"addressType": "IPv4",
		"ports":       []any{object{"name": "http", "port": int64(8080)}},
		"endpoints":   endpoints(generation),
	}
}

func endpoints(generation int) []any {
	return []any{
		object{"addresses": []any{fmt.Sprintf("10.1.%d.%d", generation/250%250, 1+generation%250)}},
		object{"addresses": []any{fmt.Sprintf("10.2.%d.%d", generation/250%250, 1+generation%250)}},
	}
}

// route has a host of its own, and says its generation in a header that it adds.
func route(name, gateway, service string) object {
	return object{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta(name),
		"spec": object{
			"parentRefs": []any{object{"name": gateway}},
			"hostnames":  []any{name + ".example.com"},
			"rules":      []any{rule(name, service)},
		},
	}
}

func rule(header, service string) object {
	return object{
		"matches": []any{object{"path": object{"type": "PathPrefix", "value": "/"}}},
		"filters": []any{object{
			"type":                  "RequestHeaderModifier",
			"requestHeaderModifier": object{"set": []any{object{"name": "x-bench", "value": header}}},
		}},
		"backendRefs": []any{object{"name": service, "port": int64(80)}},
	}
}

// jsonPatch applies a JSON patch to an object.
func (s *server) jsonPatch(ctx context.Context, kind schema.GroupVersionResource, name, patch string) error {
	_, err := s.Resource(kind).Namespace(namespace).Patch(ctx, name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	return err
}
