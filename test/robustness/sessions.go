package robustness

import (
	"context"
	"fmt"
	"maps"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// deltaSession is a stream of the delta protocol.
type deltaSession struct {
	node       *Node
	stream     discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	subscribed map[string]map[string]bool // by type; has the types that were asked for
	introduced bool
}

func (s *deltaSession) run(ctx context.Context) error {
	if err := s.subscribe(); err != nil {
		return err
	}
	for {
		response, err := s.stream.Recv()
		if err != nil {
			return err
		}
		set := map[string]Resource{}
		for _, r := range response.GetResources() {
			if set[r.GetName()], err = newResource(r.GetVersion(), r.GetResource()); err != nil {
				return fmt.Errorf("%s %q: %w", response.GetTypeUrl(), r.GetName(), err)
			}
		}
		rejected := s.node.apply(ctx, response.GetTypeUrl(), set, response.GetRemovedResources(), false)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.subscribe(); err != nil {
			return err
		}
		if err := s.send(&discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce(), ErrorDetail: errorDetail(rejected),
		}); err != nil {
			return err
		}
	}
}

// subscribe asks for what is referred to and hasn't been asked for, and no longer for what isn't referred to any more. The
// first request of a type says what the node has from other streams.
func (s *deltaSession) subscribe() error {
	for _, request := range s.requests() {
		if err := s.send(request); err != nil {
			return err
		}
	}
	return nil
}

func (s *deltaSession) requests() (requests []*discoveryv3.DeltaDiscoveryRequest) {
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, typeURL := range typeURLs {
		wants := map[string]bool{"*": true}
		if !n.wildcard(typeURL) {
			wants = n.wants(typeURL)
		}
		was, begun := s.subscribed[typeURL]
		request := &discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: typeURL, ResourceNamesSubscribe: without(wants, was), ResourceNamesUnsubscribe: without(was, wants),
		}
		if len(request.ResourceNamesSubscribe)+len(request.ResourceNamesUnsubscribe) == 0 {
			continue
		}
		if !begun {
			request.InitialResourceVersions = map[string]string{}
			for name, r := range n.has[typeURL] {
				request.InitialResourceVersions[name] = r.Version
			}
		}
		s.subscribed[typeURL] = maps.Clone(wants)
		requests = append(requests, request)
	}
	return requests
}

func (s *deltaSession) send(request *discoveryv3.DeltaDiscoveryRequest) error {
	if !s.introduced {
		request.Node, s.introduced = s.node.identity(), true
	}
	s.node.note("it asks for %s +%v -%v, nonce %q", short(request.GetTypeUrl()), request.GetResourceNamesSubscribe(),
		request.GetResourceNamesUnsubscribe(), request.GetResponseNonce())
	return s.stream.Send(request)
}

// without returns the names that are in one set and not in the other.
func without(these, those map[string]bool) (names []string) {
	for name := range these {
		if !those[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sotwSession is a stream of the state-of-the-world protocol.
type sotwSession struct {
	node       *Node
	stream     discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	asked      map[string][]string // by type; has the types that were asked for
	versions   map[string]string   // that were accepted
	nonces     map[string]string
	introduced bool
}

func (s *sotwSession) run(ctx context.Context) error {
	if err := s.ask("", nil); err != nil {
		return err
	}
	for {
		response, err := s.stream.Recv()
		if err != nil {
			return err
		}
		typeURL, set := response.GetTypeUrl(), map[string]Resource{}
		for _, encoded := range response.GetResources() {
			r, err := newResource(response.GetVersionInfo(), encoded)
			if err != nil {
				return fmt.Errorf("%s: %w", typeURL, err)
			}
			set[nameOf(r.Message)] = r
		}
		rejected := s.node.apply(ctx, typeURL, set, nil, typeURL == cds || typeURL == lds)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.nonces[typeURL] = response.GetNonce()
		if rejected == nil {
			s.versions[typeURL] = response.GetVersionInfo()
		}
		if err := s.ask(typeURL, rejected); err != nil {
			return err
		}
	}
}

// ask asks for the types of which other names are wanted than were asked for. The type that was answered is asked for
// anyway, which acknowledges or rejects the answer.
func (s *sotwSession) ask(answered string, rejected error) error {
	for _, request := range s.requests(answered, rejected) {
		if !s.introduced {
			request.Node, s.introduced = s.node.identity(), true
		}
		s.node.note("it asks for %s %v, nonce %q", short(request.GetTypeUrl()), request.GetResourceNames(), request.GetResponseNonce())
		if err := s.stream.Send(request); err != nil {
			return err
		}
	}
	return nil
}

func (s *sotwSession) requests(answered string, rejected error) (requests []*discoveryv3.DiscoveryRequest) {
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, typeURL := range typeURLs {
		var names []string
		if !n.wildcard(typeURL) {
			names = without(n.wants(typeURL), nil)
		}
		was, begun := s.asked[typeURL]
		if typeURL != answered && (begun && slices.Equal(was, names) || !begun && len(names) == 0 && !n.wildcard(typeURL)) {
			continue
		}
		s.asked[typeURL] = names
		request := &discoveryv3.DiscoveryRequest{
			TypeUrl: typeURL, ResourceNames: names, VersionInfo: s.versions[typeURL], ResponseNonce: s.nonces[typeURL],
		}
		if typeURL == answered {
			request.ErrorDetail = errorDetail(rejected)
		}
		requests = append(requests, request)
	}
	return requests
}
