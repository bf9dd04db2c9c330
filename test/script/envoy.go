package script

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	resource "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/rogpeppe/go-internal/testscript"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

const envoyUsage = "usage: envoy ID NAMESPACE/GATEWAY | fleet/NAMESPACE/NAME [CERTDIR], or [!] envoy ID has TEXT, or envoy ID rejects TEXT MESSAGE | ended REGEXP | pauses | resumes | stops"

// envoys are those that scripts have running, by script and id.
type envoys struct {
	mu       sync.Mutex
	byScript map[*testscript.TestScript]map[string]*envoy
}

func (n *envoys) cmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg && args[1] != "has" {
		ts.Fatalf(envoyUsage)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	id, args := args[0], args[1:]
	mine := n.byScript[ts]
	if mine == nil {
		mine = map[string]*envoy{}
		n.byScript[ts] = mine
		ts.Defer(func() { n.end(ts) })
	}
	running := mine[id]
	switch {
	case running == nil && len(args) <= 2:
		security := insecure.NewCredentials()
		if len(args) == 2 {
			var err error
			security, err = shown(ts.MkAbs(args[1]))
			ts.Check(err)
		}
		started, err := startEnvoy(ts.Getenv("XDS"), security, id, args[0])
		ts.Check(err)
		mine[id] = started
	case running == nil:
		ts.Fatalf("there is no envoy %s", id)
	case args[0] == "has" && len(args) == 2:
		if has := func() bool { return running.has(args[1]) }; neg && has() || !neg && !Poll(has) {
			ts.Fatalf("envoy %s has %s: is %t, and it has %v", id, args[1], !neg, running)
		}
	case args[0] == "rejects" && len(args) == 3:
		running.reject(args[1], args[2])
	case args[0] == "ended" && len(args) == 2:
		if ended := running.waitEnded(); ended == nil || !regexp.MustCompile(args[1]).MatchString(ended.Error()) {
			ts.Fatalf("envoy %s ended %s: it ended with %v", id, args[1], ended)
		}
	case args[0] == "pauses" && len(args) == 1 && running.resumed == nil:
		running.pause()
	case args[0] == "resumes" && len(args) == 1 && running.resumed != nil:
		running.resume()
	case args[0] == "stops" && len(args) == 1:
		running.stop()
		delete(mine, id)
	default:
		ts.Fatalf(envoyUsage)
	}
}

func (n *envoys) end(ts *testscript.TestScript) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, running := range n.byScript[ts] {
		running.stop()
	}
	delete(n.byScript, ts)
}

// envoy is a client that subscribes to what an Envoy would, and stays connected. Unlike an Envoy, it rejects what it is told to.
type envoy struct {
	stop func()

	mu       sync.Mutex
	rejected map[string]string // the message for each text
	// resources are those that it has taken, by type and name; of those that it waits for there is nil.
	resources map[string]map[string]*discoveryv3.Resource
	ended     error // of the stream; nil while there is one
	// resumed is closed when it goes on after a pause; nil when there is none.
	resumed chan struct{}
}

// shown returns credentials with the certificate in a directory that "gateway-apiserver xds-cert" has written.
func shown(dir string) (credentials.TransportCredentials, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, err
	}
	authorities, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authorities)
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots}), nil
}

// startEnvoy connects a node that serves a Gateway, or a fleet of merged ones.
func startEnvoy(server string, security credentials.TransportCredentials, id, serves string) (*envoy, error) {
	key := "gateway-apiserver.dev/gateway"
	if fleet, ok := strings.CutPrefix(serves, "fleet/"); ok {
		key, serves = "gateway-apiserver.dev/fleet", fleet
	}
	metadata, err := structpb.NewStruct(map[string]any{key: serves})
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(server, grpc.WithTransportCredentials(security), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	n := &envoy{rejected: map[string]string{}, resources: map[string]map[string]*discoveryv3.Resource{}}
	ended := make(chan struct{})
	n.stop = func() {
		cancel()
		<-ended
		_ = conn.Close()
	}
	node := &corev3.Node{
		Id: id, Cluster: "test", Metadata: metadata, UserAgentName: "envoy",
		UserAgentVersionType: &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{
			Version: &typev3.SemanticVersion{MajorNumber: 1, MinorNumber: 36, Patch: 2},
		}},
	}
	for _, typeURL := range []string{resource.ClusterType, resource.ListenerType} {
		n.resources[typeURL] = map[string]*discoveryv3.Resource{}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
			Node: node, TypeUrl: typeURL, ResourceNamesSubscribe: []string{"*"},
		}); err != nil {
			close(ended)
			n.stop()
			return nil, err
		}
	}
	go func() {
		defer close(ended)
		for {
			response, err := stream.Recv()
			if err != nil {
				n.mu.Lock()
				n.ended = err
				n.mu.Unlock()
				return
			}
			n.await(ctx)
			for _, request := range n.receive(response) {
				if stream.Send(request) != nil {
					return
				}
			}
		}
	}()
	return n, nil
}

// waitEnded returns why the stream has ended, and waits for that as long as the script's commands do.
func (n *envoy) waitEnded() (ended error) {
	Poll(func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		ended = n.ended
		return ended != nil
	})
	return ended
}

// reject has the node reject what has a text in it from now on.
func (n *envoy) reject(text, message string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rejected[text] = message
}

// pause has the node take and answer nothing until it resumes.
func (n *envoy) pause() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.resumed = make(chan struct{})
}

func (n *envoy) resume() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.resumed)
	n.resumed = nil
}

// await returns when there is no pause any more.
func (n *envoy) await(ctx context.Context) {
	n.mu.Lock()
	resumed := n.resumed
	n.mu.Unlock()
	if resumed == nil {
		return
	}
	select {
	case <-resumed:
	case <-ctx.Done():
	}
}

// has says whether something that the node has taken has a text in it.
func (n *envoy) has(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, resources := range n.resources {
		for _, r := range resources {
			if bytes.Contains(r.GetResource().GetValue(), []byte(text)) {
				return true
			}
		}
	}
	return false
}

// String names what the node has taken.
func (n *envoy) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for typeURL, resources := range n.resources {
		for name := range resources {
			all = append(all, fmt.Sprintf("%s %s", typeURL, name))
		}
	}
	return strings.Join(all, ", ")
}

// receive returns what the node answers: that it rejects the response, or that it has taken it, and what it needs for that.
func (n *envoy) receive(response *discoveryv3.DeltaDiscoveryResponse) []*discoveryv3.DeltaDiscoveryRequest {
	n.mu.Lock()
	defer n.mu.Unlock()
	answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}
	answers := []*discoveryv3.DeltaDiscoveryRequest{answer}
	for _, r := range response.GetResources() {
		for text, message := range n.rejected {
			if bytes.Contains(r.GetResource().GetValue(), []byte(text)) {
				answer.ErrorDetail = &statuspb.Status{Code: int32(codes.InvalidArgument), Message: r.GetName() + ": " + message}
				return answers
			}
		}
	}
	known := n.resources[response.GetTypeUrl()]
	for _, name := range response.GetRemovedResources() {
		delete(known, name)
	}
	for _, r := range response.GetResources() {
		known[r.GetName()] = r
		for typeURL, names := range n.needs(r) {
			answers = append(answers, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
		}
	}
	return answers
}

// needs returns what a resource refers to and the node hasn't asked for, by type.
func (n *envoy) needs(r *discoveryv3.Resource) map[string][]string {
	m, err := r.GetResource().UnmarshalNew()
	if err != nil {
		return nil
	}
	needs := map[string][]string{}
	need := func(typeURL, name string) {
		if name == "" {
			return
		}
		if n.resources[typeURL] == nil {
			n.resources[typeURL] = map[string]*discoveryv3.Resource{}
		}
		if _, asked := n.resources[typeURL][name]; !asked {
			n.resources[typeURL][name] = nil
			needs[typeURL] = append(needs[typeURL], name)
		}
	}
	_ = protorange.Range(m.ProtoReflect(), func(path protopath.Values) error {
		message, ok := path.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		switch m := message.Interface().(type) {
		case *hcmv3.Rds:
			need(resource.RouteType, m.GetRouteConfigName())
		case *clusterv3.Cluster_EdsClusterConfig:
			need(resource.EndpointType, m.GetServiceName())
		case *tlsv3.SdsSecretConfig:
			need(resource.SecretType, m.GetName())
		}
		return nil
	})
	return needs
}
