package cache

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	cds = resource.ClusterType
	eds = resource.EndpointType
	sds = resource.SecretType
	lds = resource.ListenerType
	rds = resource.RouteType
)

// res returns a resource whose content is a string. The cache reads only clusters.
func res(typeURL, name, content string) *Resource {
	return NewResource(typeURL, name, []byte(content))
}

// edsCluster returns a cluster of type EDS with endpoints of the same name. Timeout makes its content differ.
func edsCluster(name string, timeout int64) *Resource {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(&clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		ConnectTimeout:       &durationpb.Duration{Seconds: timeout},
	})
	if err != nil {
		panic(err)
	}
	return NewResource(cds, name, value)
}

func set(rs ...*Resource) Update { return Update{Set: rs} }

func del(typeURL string, names ...string) Update {
	var u Update
	for _, name := range names {
		u.Delete = append(u.Delete, Name{typeURL, name})
	}
	return u
}

// deltaClient is a delta client and its server, without goroutines: nothing moves unless the test says so.
type deltaClient struct {
	t         *testing.T
	stream    *Stream
	responses []*DeltaResponse                      // not sent yet
	nonce     int                                   // of the last that was sent
	inbox     []*discoveryv3.DeltaDiscoveryResponse // sent by the server, not read by the client
	err       error                                 // ended the stream
}

func newDelta(t *testing.T, c *Cache, scope string) *deltaClient {
	d := &deltaClient{t: t, stream: c.Stream(scope, nil, nil)}
	t.Cleanup(d.close)
	return d
}

func (d *deltaClient) close() {
	if d.stream == nil {
		return
	}
	d.stream.Close()
	d.stream = nil
}

// pump sends what the cache has responded with.
func (d *deltaClient) pump() {
	for _, r := range d.responses {
		d.inbox = append(d.inbox, decoded(d.t, r))
		d.nonce++
	}
	d.responses = nil
}

// decoded returns a response as a client reads it.
func decoded(t testing.TB, r *DeltaResponse) *discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	resp := &discoveryv3.DeltaDiscoveryResponse{}
	if err := proto.Unmarshal(r.Encode().Materialize(), resp); err != nil {
		t.Fatal(err)
	}
	return resp
}

func (d *deltaClient) send(req *discoveryv3.DeltaDiscoveryRequest) {
	d.t.Helper()
	if d.err != nil {
		return
	}
	d.pump()
	req.ResourceNamesSubscribe = slices.Clone(req.GetResourceNamesSubscribe()) // the cache may change it
	d.stream.Delta(req, func(r *DeltaResponse, err error) {
		if d.err != nil {
			d.t.Error("called after the end")
		}
		if d.err = err; err == nil {
			d.responses = append(d.responses, r)
		}
	})
}

func (d *deltaClient) subscribe(typeURL string, names ...string) {
	d.t.Helper()
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

func (d *deltaClient) unsubscribe(typeURL string, names ...string) {
	d.t.Helper()
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesUnsubscribe: names})
}

func (d *deltaClient) ack(resp *discoveryv3.DeltaDiscoveryResponse) {
	d.t.Helper()
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()})
}

func (d *deltaClient) nack(resp *discoveryv3.DeltaDiscoveryResponse) {
	d.t.Helper()
	d.reject(resp, "rejected")
}

func (d *deltaClient) reject(resp *discoveryv3.DeltaDiscoveryResponse, message string) {
	d.t.Helper()
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce(),
		ErrorDetail: &status.Status{Message: message}})
}

// next reads the next response, or nil.
func (d *deltaClient) next() *discoveryv3.DeltaDiscoveryResponse {
	d.pump()
	if len(d.inbox) == 0 {
		return nil
	}
	resp := d.inbox[0]
	d.inbox = d.inbox[1:]
	return resp
}

// want reads the next response and compares it, written as "clusters +a=1 -b".
func (d *deltaClient) want(want string) *discoveryv3.DeltaDiscoveryResponse {
	d.t.Helper()
	resp := d.next()
	if got := deltaString(resp); got != want {
		d.t.Fatalf("got response %q, want %q", got, want)
	}
	return resp
}

// wantAck is want, and acknowledges.
func (d *deltaClient) wantAck(want string) {
	d.t.Helper()
	d.ack(d.want(want))
}

func (d *deltaClient) wantNothing() {
	d.t.Helper()
	if resp := d.next(); resp != nil {
		d.t.Fatalf("got response %q, want none", deltaString(resp))
	}
}

var shortTypes = map[string]string{cds: "clusters", eds: "endpoints", sds: "secrets", lds: "listeners", rds: "routes"}

func deltaString(resp *discoveryv3.DeltaDiscoveryResponse) string {
	if resp == nil {
		return "nothing"
	}
	var parts []string
	for _, r := range resp.GetResources() {
		parts = append(parts, "+"+r.GetName()+"="+text(r.GetResource().GetTypeUrl(), r.GetResource().GetValue()))
	}
	for _, name := range resp.GetRemovedResources() {
		parts = append(parts, "-"+name)
	}
	slices.Sort(parts)
	return strings.Join(append([]string{shortTypes[resp.GetTypeUrl()]}, parts...), " ")
}

func text(typeURL string, value []byte) string {
	var c clusterv3.Cluster
	if typeURL == cds && proto.Unmarshal(value, &c) == nil {
		return strconv.FormatInt(c.GetConnectTimeout().GetSeconds(), 10)
	}
	return string(value)
}

// stateClient is a state-of-the-world client and the part of go-control-plane's server with ordered ADS that serves it.
type stateClient struct {
	t      *testing.T
	stream *Stream
	ch     chan xdscache.Response
	types  map[string]*stateType
	nonce  int
	inbox  []*discoveryv3.DiscoveryResponse
}

type stateType struct {
	sub    stream.Subscription
	cancel func()
	nonce  string // of the last response to the current request
	names  []string
}

func newState(t *testing.T, c *Cache, scope string) *stateClient {
	s := &stateClient{
		t:      t,
		stream: c.Stream(scope, nil, nil),
		ch:     make(chan xdscache.Response, 10), // as go-control-plane makes it
		types:  map[string]*stateType{},
	}
	t.Cleanup(s.close)
	return s
}

func (s *stateClient) close() {
	if s.stream == nil {
		return
	}
	for _, ty := range s.types {
		if ty.cancel != nil {
			ty.cancel()
		}
	}
	s.stream.Close()
	s.stream = nil
}

// pump sends what the cache has responded with, except for a type, whose responses are dropped.
func (s *stateClient) pump(except string) {
	for {
		select {
		case resp := <-s.ch:
			if resp.GetRequest().GetTypeUrl() == except {
				continue
			}
			out, err := resp.GetDiscoveryResponse()
			if err != nil {
				s.t.Fatal(err)
			}
			s.nonce++
			out.Nonce = strconv.Itoa(s.nonce)
			ty := s.types[out.GetTypeUrl()]
			ty.sub.SetReturnedResources(resp.GetReturnedResources())
			ty.nonce = out.Nonce
			s.inbox = append(s.inbox, out)
		default:
			return
		}
	}
}

func (s *stateClient) send(req *discoveryv3.DiscoveryRequest) {
	s.t.Helper()
	s.stream.Late(req)
	legacy := req.GetTypeUrl() == cds || req.GetTypeUrl() == lds
	ty := s.types[req.GetTypeUrl()]
	if ty == nil {
		ty = &stateType{sub: stream.NewSotwSubscription(req.GetResourceNames(), legacy)}
		s.types[req.GetTypeUrl()] = ty
	} else {
		if ty.nonce != "" && ty.nonce != req.GetResponseNonce() {
			return
		}
		if ty.cancel != nil {
			ty.cancel()
		}
		s.pump(req.GetTypeUrl())
		ty.sub.SetResourceSubscription(req.GetResourceNames())
	}
	ty.nonce = ""
	ty.names = req.GetResourceNames()
	var err error
	if ty.cancel, err = s.stream.CreateWatch(req, ty.sub, s.ch); err != nil {
		s.t.Fatal(err)
	}
}

// subscribe sends the names with the nonce of the last response that the client has read, or none.
func (s *stateClient) subscribe(typeURL string, last *discoveryv3.DiscoveryResponse, names ...string) {
	s.t.Helper()
	s.send(&discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResourceNames: names, VersionInfo: last.GetVersionInfo(),
		ResponseNonce: last.GetNonce()})
}

func (s *stateClient) ack(resp *discoveryv3.DiscoveryResponse) {
	s.t.Helper()
	s.subscribe(resp.GetTypeUrl(), resp, s.types[resp.GetTypeUrl()].names...)
}

func (s *stateClient) nack(resp *discoveryv3.DiscoveryResponse) {
	s.t.Helper()
	s.reject(resp, "rejected")
}

func (s *stateClient) reject(resp *discoveryv3.DiscoveryResponse, message string) {
	s.t.Helper()
	s.send(&discoveryv3.DiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResourceNames: s.types[resp.GetTypeUrl()].names,
		ResponseNonce: resp.GetNonce(), ErrorDetail: &status.Status{Message: message}})
}

func (s *stateClient) next() *discoveryv3.DiscoveryResponse {
	s.pump("")
	if len(s.inbox) == 0 {
		return nil
	}
	resp := s.inbox[0]
	s.inbox = s.inbox[1:]
	return resp
}

// want reads the next response and compares it, written as "listeners a b": resources have no names in it, so the content
// of a resource is used.
func (s *stateClient) want(want string) *discoveryv3.DiscoveryResponse {
	s.t.Helper()
	resp := s.next()
	if got := stateString(resp); got != want {
		s.t.Fatalf("got response %q, want %q", got, want)
	}
	return resp
}

func (s *stateClient) wantAck(want string) *discoveryv3.DiscoveryResponse {
	s.t.Helper()
	resp := s.want(want)
	s.ack(resp)
	return resp
}

func (s *stateClient) wantNothing() {
	s.t.Helper()
	if resp := s.next(); resp != nil {
		s.t.Fatalf("got response %q, want none", stateString(resp))
	}
}

func stateString(resp *discoveryv3.DiscoveryResponse) string {
	if resp == nil {
		return "nothing"
	}
	parts := []string{shortTypes[resp.GetTypeUrl()]}
	for _, r := range resp.GetResources() {
		parts = append(parts, text(r.GetTypeUrl(), r.GetValue()))
	}
	return strings.Join(parts, " ")
}

// resources writes what a scope holds as a table of contents, by type and name.
func resources(c *Cache, scope string) string {
	var out []string
	for _, r := range c.Resources(scope) {
		out = append(out, fmt.Sprintf("%s %s=%s", shortTypes[r.TypeURL()], r.Name(), text(r.TypeURL(), r.Any().GetValue())))
	}
	return strings.Join(out, ", ")
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
