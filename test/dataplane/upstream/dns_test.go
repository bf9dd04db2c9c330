package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dnscommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	"golang.org/x/net/dns/dnsmessage"
)

// zone is a resolver with names, of which each lookup says that it may be used for a millisecond.
type zone struct {
	mu      sync.Mutex
	records map[string][]netip.Addr // by network and name
	fails   map[string]bool
	asked   []string
}

var errServer = errors.New("server failure")

func (z *zone) Lookup(_ context.Context, network, name string) ([]netip.Addr, time.Duration, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	key := network + " " + name
	z.asked = append(z.asked, key)
	if z.fails[key] {
		return nil, 0, errServer
	}
	return z.records[key], time.Millisecond, nil
}

func (z *zone) change(records map[string][]netip.Addr, fails ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records, z.fails, z.asked = records, map[string]bool{}, nil
	for _, key := range fails {
		z.fails[key] = true
	}
}

// lookups returns how many lookups have ended since the zone was changed.
func (z *zone) lookups() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.asked)
}

func dnsCluster(t *testing.T, names ...string) *clusterv3.Cluster {
	t.Helper()
	locality := &endpointv3.LocalityLbEndpoints{}
	for _, name := range names {
		locality.LbEndpoints = append(locality.LbEndpoints, lbEndpoint(name, 80))
	}
	return &clusterv3.Cluster{
		Name: "test",
		ClusterDiscoveryType: &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
			Name: "envoy.cluster.dns",
			TypedConfig: packed(t, &dnsclusterv3.DnsCluster{
				RespectDnsTtl: true, DnsLookupFamily: dnscommonv3.DnsLookupFamily_V4_PREFERRED,
			}),
		}},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: "test", Endpoints: []*endpointv3.LocalityLbEndpoints{locality}},
	}
}

func newDNS(t *testing.T, config *clusterv3.Cluster, resolver Resolver) *Cluster {
	t.Helper()
	c, err := New(config, Deps{Resolver: resolver, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	<-c.Ready()
	return c
}

func (c *Cluster) addresses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for a := range c.hosts.byAddress {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return out
}

func addrs(as ...string) (out []netip.Addr) {
	for _, a := range as {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestDNS(t *testing.T) {
	t.Parallel()
	z := &zone{}
	z.change(map[string][]netip.Addr{"ip4 a.": addrs("192.0.2.1", "192.0.2.2"), "ip6 a.": addrs("2001:db8::1"), "ip6 b.": addrs("2001:db8::2")})
	c := newDNS(t, dnsCluster(t, "a.", "b."), z)
	is := func(want ...string) func() bool {
		return func() bool { return slices.Equal(c.addresses(), want) }
	}
	eventually(t, "all addresses of the first family that has some", is("192.0.2.1:80", "192.0.2.2:80", "[2001:db8::2]:80"))
	z.change(map[string][]netip.Addr{"ip4 a.": addrs("192.0.2.2"), "ip6 b.": addrs("2001:db8::2")})
	eventually(t, "after the TTL, addresses that are gone are gone", is("192.0.2.2:80", "[2001:db8::2]:80"))
	z.change(map[string][]netip.Addr{"ip6 b.": addrs("2001:db8::3")}, "ip4 b.")
	eventually(t, "a name without addresses has no hosts, and a family that fails isn't the last word", is("[2001:db8::3]:80"))
}

// A name that can't be resolved keeps the hosts that it had.
func TestDNSFailure(t *testing.T) {
	t.Parallel()
	z := &zone{}
	z.change(map[string][]netip.Addr{"ip4 a.": addrs("192.0.2.1")})
	c := newDNS(t, dnsCluster(t, "a."), z)
	z.change(nil, "ip4 a.", "ip6 a.")
	eventually(t, "both families are asked for", func() bool { return z.lookups() >= 2 })
	if got := c.addresses(); !slices.Equal(got, []string{"192.0.2.1:80"}) {
		t.Errorf("after a failure, the hosts are %s", got)
	}
	newDNS(t, dnsCluster(t, "a."), z) // is ready, though it knows nothing
}

func TestStrictDNS(t *testing.T) {
	t.Parallel()
	z := &zone{}
	z.change(map[string][]netip.Addr{"ip4 a": addrs("192.0.2.1"), "ip6 a": addrs("2001:db8::1")})
	config := dnsCluster(t, "a")
	config.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
	c := newDNS(t, config, z)
	if got := c.addresses(); !slices.Equal(got, []string{"[2001:db8::1]:80"}) {
		t.Errorf("the hosts are %s, want IPv6, which comes first in AUTO", got)
	}
	if got := c.refreshAfter(time.Minute); got != refreshRate {
		t.Errorf("without respect_dns_ttl it asks again after %s", got)
	}
}

func TestRefreshAfter(t *testing.T) {
	t.Parallel()
	c := newDNS(t, dnsCluster(t), &zone{})
	for ttl, want := range map[time.Duration]time.Duration{0: refreshRate, time.Second: time.Second, time.Hour: time.Hour} {
		if got := c.refreshAfter(ttl); got != want {
			t.Errorf("TTL %s: it asks again after %s, want %s", ttl, got, want)
		}
	}
}

func TestSystemResolver(t *testing.T) {
	t.Parallel()
	got, ttl, err := systemResolver{}.Lookup(t.Context(), "ip4", "localhost")
	if err != nil || !slices.Equal(got, addrs("127.0.0.1")) || ttl != 0 {
		t.Errorf("localhost is %s for %s (%v)", got, ttl, err)
	}
}

// answer returns a DNS message with records that live for so many seconds.
func answer(t *testing.T, ttls ...uint32) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true})
	name := dnsmessage.MustNewName("a.example.")
	errs := []error{
		b.StartQuestions(),
		b.Question(dnsmessage.Question{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}),
		b.StartAnswers(),
	}
	for i, ttl := range ttls {
		header := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: ttl}
		if i == 0 {
			errs = append(errs, b.CNAMEResource(header, dnsmessage.CNAMEResource{CNAME: name}))
		} else {
			errs = append(errs, b.AResource(header, dnsmessage.AResource{A: [4]byte{192, 0, 2, byte(i)}}))
		}
	}
	message, err := b.Finish()
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	return message
}

func TestTTL(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		messages [][]byte
		want     time.Duration
	}{
		"none":             {nil, 0},
		"no records":       {[][]byte{answer(t)}, 0},
		"the shortest":     {[][]byte{answer(t, 300, 20, 30)}, 20 * time.Second},
		"also of an alias": {[][]byte{answer(t, 10, 20)}, 10 * time.Second},
		"of messages":      {[][]byte{answer(t, 30), answer(t, 5), answer(t)}, 5 * time.Second},
		"zero":             {[][]byte{answer(t, 0, 20)}, 0},
		"rubbish":          {[][]byte{[]byte("x"), answer(t, 7)}, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := &answers{}
			for _, m := range tt.messages {
				seen.read(m)
			}
			if got := seen.ttl(); got != tt.want {
				t.Errorf("the records live for %s, want %s", got, tt.want)
			}
			// By TCP, in pieces of any size.
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				for _, m := range tt.messages {
					framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)
					for chunk := range slices.Chunk(framed, 5) {
						_, _ = server.Write(chunk)
					}
				}
			}()
			streamed := &answers{}
			if _, err := io.Copy(io.Discard, &tcpWatch{Conn: client, seen: streamed}); err != nil {
				t.Fatal(err)
			}
			if got := streamed.ttl(); got != tt.want {
				t.Errorf("by TCP, the records live for %s, want %s", got, tt.want)
			}
		})
	}
}

// By UDP, each read is a message.
func TestUDPWatch(t *testing.T) {
	t.Parallel()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		packet := make([]byte, 512)
		n, from, err := server.ReadFrom(packet)
		if err == nil && n > 0 {
			_, _ = server.WriteTo(answer(t, 9), from)
		}
	}()
	conn, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	seen := &answers{}
	watch := &udpWatch{conn.(*net.UDPConn), seen}
	if _, err := watch.Write([]byte("?")); err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	if got := seen.ttl(); got != 9*time.Second {
		t.Errorf("the records live for %s, want 9s", got)
	}
}
