package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// wildcard subscribes to every resource of a type that the server has for the node.
const wildcard = "*"

// Query says who asks, and for what.
type Query struct {
	Node *corev3.Node
	// Listeners names the listeners to start from, and only the clusters that their routes use are read, as a proxyless
	// gRPC client does. Empty: all listeners and all clusters, as an Envoy does.
	Listeners []string
}

// Fetch asks the server behind conn for all that q names and all that those resources refer to, acknowledges every
// response, and returns when each name has been answered. If ctx ends first, the error says what was not answered and
// wraps ctx's. Any other error comes from grpc or names a resource that can't be read. With an error comes what had been
// answered by then.
func Fetch(ctx context.Context, conn grpc.ClientConnInterface, q Query) (*Snapshot, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &fetch{node: q.Node, byName: len(q.Listeners) > 0, types: map[string]*subscription{}}
	err := f.run(ctx, conn, q)
	if status.Code(err) == codes.DeadlineExceeded { // grpc tells the server the deadline, so either side may notice first
		err = context.DeadlineExceeded
	} else if ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = fmt.Errorf("no answer for %s: %w", cmp.Or(strings.Join(f.unanswered(), ", "), "the call"), err)
	}
	return f.snapshot(), err
}

// fetch is the state of one stream.
type fetch struct {
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	node   *corev3.Node // sent with the first request, then nil
	byName bool         // clusters are asked for by name
	types  map[string]*subscription
}

// subscription is what was asked for and answered of one resource type.
type subscription struct {
	answered  map[string]bool // each name asked for; true once it was answered
	resources map[string]proto.Message
}

func (f *fetch) run(ctx context.Context, conn grpc.ClientConnInterface, q Query) (err error) {
	// An answer to a wildcard is a single message, as large as the configuration: Envoy has no limit either.
	f.stream, err = discoveryv3.NewAggregatedDiscoveryServiceClient(conn).
		DeltaAggregatedResources(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		return err
	}
	first := map[string][]string{listenerType: {wildcard}, clusterType: {wildcard}}
	if f.byName {
		first = map[string][]string{listenerType: q.Listeners}
	}
	if err := f.subscribe(first); err != nil {
		return err
	}
	for len(f.unanswered()) > 0 {
		response, err := f.stream.Recv()
		if err != nil {
			return err
		}
		named, refused := f.receive(response)
		if err := f.acknowledge(response, refused); err != nil {
			return err
		}
		if refused != nil {
			f.close()
			return refused
		}
		if err := f.subscribe(named); err != nil {
			return err
		}
	}
	f.close()
	return nil
}

// close ends the stream from our side and waits for the server's, so that the last acknowledgement arrives.
func (f *fetch) close() {
	err := f.stream.CloseSend()
	for err == nil {
		_, err = f.stream.Recv()
	}
}

// subscribe asks for the names, by type, that have not been asked for yet.
func (f *fetch) subscribe(names map[string][]string) error {
	for _, typeURL := range slices.Sorted(maps.Keys(names)) {
		s := f.types[typeURL]
		if s == nil {
			s = &subscription{answered: map[string]bool{}, resources: map[string]proto.Message{}}
			f.types[typeURL] = s
		}
		var fresh []string
		for _, name := range names[typeURL] {
			if _, asked := s.answered[name]; !asked {
				s.answered[name] = false
				fresh = append(fresh, name)
			}
		}
		if len(fresh) == 0 {
			continue
		}
		if err := f.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: fresh}); err != nil {
			return err
		}
	}
	return nil
}

// receive takes a response in and returns the names, by type, that its resources refer to.
func (f *fetch) receive(response *discoveryv3.DeltaDiscoveryResponse) (map[string][]string, error) {
	s := f.types[response.GetTypeUrl()]
	if s == nil {
		return nil, fmt.Errorf("the server sent resources of type %s, which nobody asked for", response.GetTypeUrl())
	}
	named := map[string][]string{}
	for _, r := range response.GetResources() {
		m, err := r.GetResource().UnmarshalNew()
		if err != nil {
			return nil, fmt.Errorf("resource %q: %w", r.GetName(), err)
		}
		if got := r.GetResource().GetTypeUrl(); got != response.GetTypeUrl() {
			return nil, fmt.Errorf("resource %q is of type %s in a response of type %s", r.GetName(), got, response.GetTypeUrl())
		}
		s.resources[r.GetName()] = m
		s.answer(r.GetName())
		err = references(m, func(typeURL, name string) {
			if typeURL == clusterType && !f.byName {
				return // has been asked for by the wildcard
			}
			named[typeURL] = append(named[typeURL], name)
		})
		if err != nil {
			return nil, fmt.Errorf("resource %q: %w", r.GetName(), err)
		}
	}
	for _, name := range response.GetRemovedResources() {
		delete(s.resources, name)
		s.answer(name)
	}
	s.answer(wildcard) // answered by the first response, which holds all there is, be it nothing
	return named, nil
}

// answer notes that a name was answered, if it was asked for.
func (s *subscription) answer(name string) {
	if _, asked := s.answered[name]; asked {
		s.answered[name] = true
	}
}

// acknowledge accepts a response, or rejects it if refused is an error.
func (f *fetch) acknowledge(response *discoveryv3.DeltaDiscoveryResponse, refused error) error {
	request := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}
	if refused != nil {
		request.ErrorDetail = &statuspb.Status{Code: int32(codes.InvalidArgument), Message: refused.Error()}
	}
	return f.send(request)
}

func (f *fetch) send(request *discoveryv3.DeltaDiscoveryRequest) error {
	request.Node, f.node = f.node, nil
	err := f.stream.Send(request)
	if err == nil {
		return nil
	}
	// The stream is broken, and only receiving tells why (grpc.ClientStream.SendMsg).
	for {
		if _, err := f.stream.Recv(); err != nil {
			return err
		}
	}
}

// unanswered lists what has been asked for and not been answered, for people.
func (f *fetch) unanswered() []string {
	var out []string
	for _, typeURL := range slices.Sorted(maps.Keys(f.types)) {
		for name, answered := range f.types[typeURL].answered {
			switch {
			case answered:
			case name == wildcard:
				out = append(out, "any "+typeName(typeURL))
			default:
				out = append(out, fmt.Sprintf("%s %q", typeName(typeURL), name))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (f *fetch) snapshot() *Snapshot {
	s := func(typeURL string) *subscription {
		if s := f.types[typeURL]; s != nil {
			return s
		}
		return &subscription{}
	}
	out := &Snapshot{
		Listeners: byName[*listenerv3.Listener](s(listenerType)),
		Routes:    byName[*routev3.RouteConfiguration](s(routeType)),
		Clusters:  byName[*clusterv3.Cluster](s(clusterType)),
		Endpoints: byName[*endpointv3.ClusterLoadAssignment](s(endpointType)),
		Secrets:   byName[*tlsv3.Secret](s(secretType)),
	}
	for _, typeURL := range slices.Sorted(maps.Keys(f.types)) {
		s := f.types[typeURL]
		for _, name := range slices.Sorted(maps.Keys(s.answered)) {
			if s.answered[name] && s.resources[name] == nil && name != wildcard {
				out.Missing = append(out.Missing, Resource{Type: typeName(typeURL), Name: name})
			}
		}
	}
	return out
}

// typeName is the last part of a type URL.
func typeName(typeURL string) string {
	return typeURL[strings.LastIndex(typeURL, ".")+1:]
}
