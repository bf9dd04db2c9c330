package ads

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// The types of resources, as URLs.
const (
	ClusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	EndpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	ListenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	SecretType   = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// TypeName is the last part of a type's URL, for people.
func TypeName(typeURL string) string { return typeURL[strings.LastIndexAny(typeURL, "./")+1:] }

// Resource is a resource of a response. Its message is of the type that the response says, and valid by the rules that are
// written in the type's proto file; what is packed in an Any in it hasn't been looked at.
type Resource struct {
	Name, Version string
	Message       proto.Message
}

// Update is a response. Both parts may be empty: the server has nothing. Resources that weren't asked for have been dropped.
type Update struct {
	TypeURL string
	Set     []Resource
	Removed []string
}

// Handler takes what the server sends, one call at a time. While it does, nothing is received. If the context of Run has ended by
// then, the response isn't answered.
type Handler interface {
	// Update takes a response in. An error rejects the response; what the handler has made of it by then stays.
	Update(Update) error
	// Malformed says that a response was rejected that can't be read, of which nothing was handed to Update.
	Malformed(typeURL string)
}

// Client is one stream to a server, renewed whenever it breaks. Its methods don't block.
type Client struct {
	conn grpc.ClientConnInterface
	node *corev3.Node
	log  *slog.Logger

	wake chan struct{} // that there may be something to send

	mu            sync.Mutex
	subscriptions []*subscription // in the order in which they were made
	answers       []answer        // that are to be sent on the present stream
	held          map[string]bool // types
	nodeSent      bool            // on the present stream
}

// answer is an acknowledgement, or a rejection if it has a detail.
type answer struct {
	typeURL, nonce string
	detail         *statuspb.Status
}

// New returns a client of the server behind conn that says it is node.
func New(conn grpc.ClientConnInterface, node *corev3.Node, log *slog.Logger) *Client {
	return &Client{conn: conn, node: node, log: log, wake: make(chan struct{}, 1), held: map[string]bool{}}
}

// SubscribeAll asks for all resources of a type that the server has for the node.
func (c *Client) SubscribeAll(typeURL string) {
	c.update(func() { c.subscription(typeURL).all = true })
}

// Subscribe asks for the resources of those names of a type, and no longer for others.
func (c *Client) Subscribe(typeURL string, names []string) {
	c.update(func() { c.subscription(typeURL).want(names) })
}

// Hold stops sending requests of a type, acknowledgements included, until Release. What the server sends is still handled. Envoy
// holds those of clusters while some are warming, so that a server can tell when routes may use them.
func (c *Client) Hold(typeURL string) { c.update(func() { c.held[typeURL] = true }) }

// Release ends Hold.
func (c *Client) Release(typeURL string) { c.update(func() { delete(c.held, typeURL) }) }

func (c *Client) update(change func()) {
	c.mu.Lock()
	change()
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// subscription returns the subscription to a type, which it makes if there is none. c.mu is held.
func (c *Client) subscription(typeURL string) *subscription {
	if s := c.find(typeURL); s != nil {
		return s
	}
	s := newSubscription(typeURL)
	c.subscriptions = append(c.subscriptions, s)
	return s
}

func (c *Client) find(typeURL string) *subscription {
	i := slices.IndexFunc(c.subscriptions, func(s *subscription) bool { return s.typeURL == typeURL })
	if i < 0 {
		return nil
	}
	return c.subscriptions[i]
}

// Envoy waits that long at first, and at most, before it opens another stream, with full jitter (GrpcStream,
// JitteredExponentialBackOffStrategy).
const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// Run keeps a stream to the server open until ctx ends.
func (c *Client) Run(ctx context.Context, h Handler) {
	backoff := firstBackoff
	for {
		received, err := c.stream(ctx, h)
		if ctx.Err() != nil {
			return
		}
		if received {
			backoff = firstBackoff
		}
		wait := rand.N(backoff)
		c.log.Warn("Lost the stream to the xDS server", "error", err, "wait", wait)
		backoff = min(2*backoff, maxBackoff)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// stream runs one stream until it breaks, and says whether something was received.
func (c *Client) stream(ctx context.Context, h Handler) (received bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	// A response may be as large as the configuration: Envoy has no limit either.
	s, err := discoveryv3.NewAggregatedDiscoveryServiceClient(c.conn).DeltaAggregatedResources(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		cancel()
		return false, err
	}
	c.restart()
	var sender sync.WaitGroup
	sender.Go(func() { c.send(ctx, s) })
	defer sender.Wait()
	defer cancel()
	for {
		response, err := s.Recv()
		if err != nil {
			return received, err
		}
		received = true
		c.receive(ctx, response, h)
	}
}

// restart makes ready for a new stream.
func (c *Client) restart() {
	c.update(func() {
		c.answers, c.nodeSent = nil, false
		for _, s := range c.subscriptions {
			s.restart()
		}
	})
}

// send sends what is to be sent until ctx ends or the stream breaks, which receiving notices too.
func (c *Client) send(ctx context.Context, s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient) {
	for {
		for r := c.next(); r != nil; r = c.next() {
			if s.Send(r) != nil {
				return
			}
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
	}
}

// next returns the request to send next, nil if there is none: changed subscriptions in the order in which they were made, then
// answers. So what a response leads to is asked for before the response is answered, as Envoy does it (NewGrpcMuxImpl).
func (c *Client) next() *discoveryv3.DeltaDiscoveryRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	var r *discoveryv3.DeltaDiscoveryRequest
	if i := slices.IndexFunc(c.subscriptions, func(s *subscription) bool { return s.pending() && !c.held[s.typeURL] }); i >= 0 {
		r = c.subscriptions[i].request()
	} else if i := slices.IndexFunc(c.answers, func(a answer) bool { return !c.held[a.typeURL] }); i >= 0 {
		a := c.answers[i]
		c.answers = slices.Delete(c.answers, i, i+1)
		r = &discoveryv3.DeltaDiscoveryRequest{TypeUrl: a.typeURL, ResponseNonce: a.nonce, ErrorDetail: a.detail}
	} else {
		return nil
	}
	if !c.nodeSent {
		r.Node, c.nodeSent = c.node, true
	}
	return r
}

// receive handles a response.
func (c *Client) receive(ctx context.Context, response *discoveryv3.DeltaDiscoveryResponse, h Handler) {
	typeURL := response.GetTypeUrl()
	c.mu.Lock()
	s := c.find(typeURL)
	var wants func(string) bool
	if s != nil && !s.all {
		names := s.names // replaced as a whole, never changed
		wants = func(name string) bool { _, ok := names[name]; return ok }
	}
	c.mu.Unlock()
	if s == nil {
		c.log.Warn("Dropped a response of a type that was not asked for", "type", typeURL)
		return
	}
	update, err := decode(response, wants)
	if err != nil {
		h.Malformed(typeURL)
	} else {
		err = h.Update(update)
	}
	if ctx.Err() != nil {
		return
	}
	a := answer{typeURL: typeURL, nonce: response.GetNonce()}
	if err != nil {
		c.log.Warn("Rejected configuration", "type", TypeName(typeURL), "error", err)
		a.detail = &statuspb.Status{Code: int32(codes.Internal), Message: truncated(err.Error())}
	}
	c.update(func() {
		if err == nil {
			s.accept(response)
		}
		c.answers = append(c.answers, a)
	})
}

// maxDetail is how much Envoy says at most of why it rejects something (Config::Utility::truncateGrpcStatusMessage).
const maxDetail = 4096

func truncated(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD") // a proto string is UTF-8
	if len(message) <= maxDetail {
		return message
	}
	return strings.ToValidUTF8(message[:maxDetail], "") + "...(truncated)"
}

// decode reads a response. As in Envoy, one resource that can't be read, or that isn't valid by the rules of its proto file,
// spoils all of it.
func decode(response *discoveryv3.DeltaDiscoveryResponse, wants func(string) bool) (Update, error) {
	u := Update{TypeURL: response.GetTypeUrl(), Removed: response.GetRemovedResources()}
	if len(response.GetRemovedResourceNames()) > 0 {
		return u, fmt.Errorf("removed_resource_names isn't supported")
	}
	if len(response.GetResourceErrors()) > 0 {
		return u, fmt.Errorf("resource_errors isn't supported")
	}
	seen := map[string]bool{}
	for _, r := range response.GetResources() {
		if seen[r.GetName()] {
			return u, fmt.Errorf("duplicate name %s found among added/updated resources", r.GetName())
		}
		seen[r.GetName()] = true
		if wants != nil && !wants(r.GetName()) {
			continue
		}
		message, err := decodeResource(r, u.TypeURL)
		if err != nil {
			return u, fmt.Errorf("%s: %w", r.GetName(), err)
		}
		u.Set = append(u.Set, Resource{Name: r.GetName(), Version: r.GetVersion(), Message: message})
	}
	for _, name := range u.Removed {
		if seen[name] {
			return u, fmt.Errorf("duplicate name %s found in the union of added+removed resources", name)
		}
		seen[name] = true
	}
	if wants != nil {
		u.Removed = slices.DeleteFunc(slices.Clone(u.Removed), func(name string) bool { return !wants(name) })
	}
	return u, nil
}

func decodeResource(r *discoveryv3.Resource, typeURL string) (proto.Message, error) {
	for field, populated := range map[string]bool{
		"resource_name": r.GetResourceName() != nil,
		"aliases":       len(r.GetAliases()) > 0,
		"ttl":           r.GetTtl() != nil,
		"cache_control": r.GetCacheControl() != nil,
		"metadata":      r.GetMetadata() != nil,
	} {
		if populated {
			return nil, fmt.Errorf("%s isn't supported", field)
		}
	}
	if got := r.GetResource().GetTypeUrl(); got != typeURL {
		return nil, fmt.Errorf("type URL %s embedded in an individual Any does not match the message-wide type URL %s", got, typeURL)
	}
	message, err := r.GetResource().UnmarshalNew()
	if err != nil {
		return nil, err
	}
	if v, ok := message.(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			return nil, fmt.Errorf("proto constraint validation failed: %w", err)
		}
	}
	return message, nil
}
