package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
)

// TestSubscription compares subscriptions with those of go-control-plane, after random requests.
func TestSubscription(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "*"}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		pick := func() (out []string) {
			for range r.IntN(3) {
				out = append(out, names[r.IntN(len(names))])
			}
			return out
		}
		has := map[string]string{}
		for _, name := range pick() {
			has[name] = "1"
		}
		legacy, subscribe, unsubscribe := r.IntN(2) == 0, pick(), pick()
		history := fmt.Sprintf("legacy %t has %v +%v -%v", legacy, has, subscribe, unsubscribe)
		got := newSubscription(legacy, subscribe, unsubscribe, maps.Clone(has))
		want := stream.NewDeltaSubscription(subscribe, unsubscribe, has, legacy)
		for range 5 {
			if got.IsWildcard() != want.IsWildcard() || !maps.Equal(got.SubscribedResources(), want.SubscribedResources()) ||
				!maps.Equal(got.ReturnedResources(), want.ReturnedResources()) {
				t.Fatalf("%d: %s: got %+v, want %+v", seed, history, got, want)
			}
			size := 0
			for name := range got.names {
				size += nameCost + len(name)
			}
			for name, version := range got.has {
				size += nameCost + len(name) + len(version)
			}
			if got.size != size {
				t.Fatalf("%d: %s: %+v takes %d bytes, not %d", seed, history, got, size, got.size)
			}
			if r.IntN(3) == 0 { // it is answered
				got.answered()
				want.SetReturnedResources(map[string]string{})
			}
			subscribe, unsubscribe = pick(), pick()
			history += fmt.Sprintf(", +%v -%v", subscribe, unsubscribe)
			got.update(subscribe, unsubscribe)
			want.UpdateResourceSubscriptions(subscribe, unsubscribe)
		}
	}
}

// TestAskedAgain has a client ask again and again for what nobody has published, and for what it unsubscribes from twice.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	s := New().Stream("scope", "node", nil)
	defer s.Close()
	for i := range 100 {
		gone := strconv.Itoa(i)
		for _, req := range []*discoveryv3.DeltaDiscoveryRequest{
			{ResourceNamesSubscribe: []string{"*", "a", "b", gone}}, {ResourceNamesUnsubscribe: []string{gone}}, {ResourceNamesUnsubscribe: []string{gone}},
		} {
			req.TypeUrl = kinds[listeners].typeURL
			s.Delta(req, func(*DeltaResponse, error) { t.Error("nothing is published") })
		}
	}
	if asked := s.watches[listeners].delta.asked; !slices.Equal(asked, []string{"a", "b"}) {
		t.Errorf("%d names have to be answered, want a and b", len(asked))
	}
}
