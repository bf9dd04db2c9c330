package ads

import (
	"context"
	"net"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

// serveCache serves a cache at an address until the test ends or stop is called.
func serveCache(t *testing.T, c *cache.Cache, address string) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Config{Cache: c, Nodes: &nodes.Directory{}, Logger: klog.Logger{}, Limits: server.Limits{Drain: -1}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		s.Shutdown(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// The project's own server: a client that comes back is told what changed while it was away, and nothing else.
func TestXDSServer(t *testing.T) {
	t.Parallel()
	c, scope := cache.New(), nodes.GatewayScope("default/web")
	publish := func(content string, names ...string) {
		var u cache.Update
		for _, name := range names {
			data, err := proto.Marshal(&clusterv3.Cluster{Name: name, AltStatName: content})
			if err != nil {
				t.Fatal(err)
			}
			u.Set = append(u.Set, cache.NewResource(ClusterType, name, data))
		}
		c.Publish(scope, u)
	}
	publish("1", "a", "b")
	address, stop := serveCache(t, c, "127.0.0.1:0")
	client, told := run(t, address, &corev3.Node{Id: "me", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		nodes.GatewayKey: structpb.NewStringValue("default/web"),
	}}}, nil)
	client.SubscribeAll(ClusterType)
	told.wants(t, "Cluster +a@"+version(c, scope, "a")+" +b@"+version(c, scope, "b"))
	publish("2", "a")
	told.wants(t, "Cluster +a@"+version(c, scope, "a"))
	stop()
	publish("2", "b")
	c.Publish(scope, cache.Update{Delete: []cache.Name{{TypeURL: ClusterType, Name: "a"}}})
	serveCache(t, c, address)
	told.wants(t, "Cluster +b@"+version(c, scope, "b")) // what is removed comes after this was acknowledged
	told.wants(t, "Cluster -a")
}

func version(c *cache.Cache, scope, name string) string {
	for _, r := range c.Resources(scope) {
		if r.Name() == name {
			return r.Version()
		}
	}
	return ""
}
