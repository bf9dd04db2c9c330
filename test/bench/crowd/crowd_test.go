package crowd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads/adstest"
)

const clusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

// responseOf has one resource.
func responseOf(t *testing.T, name, version, content string) *discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	packed, err := anypb.New(wrapperspb.String(content))
	if err != nil {
		t.Fatal(err)
	}
	return &discoveryv3.DeltaDiscoveryResponse{
		TypeUrl: clusterType, SystemVersionInfo: "1",
		Resources: []*discoveryv3.Resource{{Name: name, Version: version, Resource: packed}},
	}
}

// gather connects n clients, each of which has been sent and has acknowledged one response.
func gather(t *testing.T, n int, names ...string) (*Crowd, []*adstest.Stream) {
	t.Helper()
	server := adstest.Serve(t)
	type connected struct {
		crowd *Crowd
		err   error
	}
	done := make(chan connected, 1)
	go func() {
		c, err := Connect(t.Context(), Config{
			Address: server.Address, Gateway: "default/gw", Streams: n,
			Subscriptions: []Subscription{{TypeURL: clusterType, Names: names}},
		})
		done <- connected{c, err}
	}()
	var streams []*adstest.Stream
	for range n {
		s := server.Accept(t)
		first := s.Next()
		if got := first.GetNode().GetMetadata().GetFields()["gateway-apiserver.dev/gateway"].GetStringValue(); got != "default/gw" {
			t.Fatalf("the client says that it serves %q", got)
		}
		if got := first.GetResourceNamesSubscribe(); len(got) != len(names) {
			t.Fatalf("the client subscribes to %d names, want %d", len(got), len(names))
		}
		s.Send(responseOf(t, "a", "v1", "one"))
		s.Wants("Cluster ack n1")
		streams = append(streams, s)
	}
	c := <-done
	if c.err != nil {
		t.Fatal(c.err)
	}
	t.Cleanup(c.crowd.Close)
	return c.crowd, streams
}

// soon is a context that ends before anything more can happen.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestArrival(t *testing.T) {
	t.Parallel()
	crowd, streams := gather(t, 2)
	began := time.Now()
	crowd.Expect(clusterType, "two")
	streams[0].Send(responseOf(t, "a", "v2", "it is two"))
	streams[0].Wants("Cluster ack n2")
	streams[1].Send(responseOf(t, "a", "v3", "something else"))
	streams[1].Wants("Cluster ack n2")
	if _, err := crowd.Await(soon(t)); err == nil || !strings.Contains(err.Error(), "1 of 2 clients have not received") {
		t.Fatalf("got %v, want an error that one client has not received it", err)
	}
	streams[0].Send(responseOf(t, "a", "v2", "it is two again"))
	streams[0].Wants("Cluster ack n3")
	if _, err := crowd.Await(soon(t)); err == nil {
		t.Fatal("one client has it twice, which counts as both")
	}
	streams[1].Send(responseOf(t, "a", "v2", "it is two"))
	got, err := crowd.Await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.First.Before(began) || !got.First.Before(got.Last) {
		t.Errorf("it began at %s, and arrived at %s and %s", began, got.First, got.Last)
	}
	if len(got.Versions) != 1 || got.Versions["a@v2"] != 2 {
		t.Errorf("versions %v, want a@v2 twice", got.Versions)
	}
}

// TestDifferentVersions: a server that sends different things is found out.
func TestDifferentVersions(t *testing.T) {
	t.Parallel()
	crowd, streams := gather(t, 2)
	crowd.Expect(clusterType, "two")
	for i, s := range streams {
		s.Send(responseOf(t, "a", fmt.Sprint(i), "two"))
	}
	got, err := crowd.Await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Versions) != 2 {
		t.Errorf("versions %v, want two", got.Versions)
	}
}

// TestLarge has requests and responses in many frames, and larger than all windows.
func TestLarge(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 20_000 {
		names = append(names, fmt.Sprintf("default/some-service-%d:80", i))
	}
	crowd, streams := gather(t, 1, names...)
	for i := range 8 {
		marker := fmt.Sprintf("marker-%d.", i)
		crowd.Expect(clusterType, marker)
		streams[0].Send(responseOf(t, "a", marker, strings.Repeat("x", 5<<20)+marker))
		streams[0].Wants(fmt.Sprintf("Cluster ack n%d", i+2))
		got, err := crowd.Await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Size < 5<<20 {
			t.Errorf("the response had %d bytes", got.Size)
		}
	}
}

// TestEnd: a stream that the server ends is an error, not a client less.
func TestEnd(t *testing.T) {
	t.Parallel()
	crowd, streams := gather(t, 2)
	crowd.Expect(clusterType, "two")
	streams[0].Send(responseOf(t, "a", "v2", "two"))
	streams[1].End()
	if _, err := crowd.Await(t.Context()); err == nil || !strings.Contains(err.Error(), "the server ended it") {
		t.Errorf("got %v, want that the server ended a stream", err)
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	key, other := resourceKey{clusterType, "a"}, resourceKey{clusterType, "b"}
	before := contents{key: {"v1", "one"}}
	for _, tt := range []struct {
		name string
		now  contents
		same bool
	}{
		{"the same", contents{key: {"v1", "one"}}, true},
		{"another byte in the same version", contents{key: {"v1", "onE"}}, false},
		{"another version of the same bytes", contents{key: {"v2", "one"}}, false},
		{"nothing", contents{}, false},
		{"more", contents{key: {"v1", "one"}, other: {"v1", "one"}}, false},
		{"another name", contents{other: {"v1", "one"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := differences(before, tt.now); (err == nil) != tt.same {
				t.Errorf("got %v", err)
			}
		})
	}
}
