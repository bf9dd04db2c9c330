package server

import (
	"fmt"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"node-1":           "node-1",
		"a \"b\"":          "a \"b\"",
		"a\nforged\x1b[":   `a\nforged\x1b[`,
		"123456789012345":  "12345678901234...",
		"1234567890123é45": "1234567890123...",
		"\xff":             `\xff`,
	} {
		if got := Printable(in, 14); got != want {
			t.Errorf("Printable(%q): got %q, want %q", in, got, want)
		}
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	tally := newTally(rate.Inf)
	var logged []int
	for range 10_000 {
		if n, log := tally.add("often"); log {
			logged = append(logged, n)
		}
	}
	if fmt.Sprint(logged) != "[1 10 100 1000 10000]" {
		t.Errorf("logged at %v, want at the powers of ten", logged)
	}
	for i := range 3 * maxCounts {
		if n, log := tally.add(i); n != 1 || !log {
			t.Fatalf("the first of a kind is number %d, and logged: %t", n, log)
		}
	}
	if n := tally.counts.Len(); n > maxCounts {
		t.Errorf("%d counts are kept", n)
	}
	slow, lines := newTally(1e-9), 0
	for i := range 1000 {
		if _, log := slow.add(i); log {
			lines++
		}
	}
	if lines != 10*maxRefusals {
		t.Errorf("%d lines in no time, want %d", lines, 10*maxRefusals)
	}
}

// TestRejectionsOfFleet has many nodes reject the same version.
func TestRejectionsOfFleet(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for i := range 30 {
		ses := &session{server: s.Server, scope: scope, id: fmt.Sprint("node-", i), sent: []response{{lds, "1", "v1"}}}
		ses.rejected(lds, "1", status.New(codes.Internal, "no filter chains").Proto())
	}
	lines := s.logged("rejected")
	if len(lines) != 2 || !strings.Contains(lines[0], `"rejections"=1`) || !strings.Contains(lines[1], `"rejections"=10`) {
		t.Errorf("logged %q, want a line of the first node, and one of the tenth", lines)
	}
}

// TestRefusalsAreNotLoggedEachTime refuses clients for one reason and then another, in turn, and for ever new ones.
func TestRefusalsAreNotLoggedEachTime(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for range 9 {
		s.refuse("identity", "192.0.2.1", status.Error(codes.Unauthenticated, "no token"))
		s.refuse("identity", "192.0.2.1", status.Error(codes.Unauthenticated, "a bad token"))
	}
	if lines := s.logged("token"); len(lines) != 2 {
		t.Errorf("logged %q, want a line for each reason", lines)
	}
	for i := range 10_000 {
		s.refuse("node", fmt.Sprint(i), status.Errorf(codes.InvalidArgument, "reason %d", i))
	}
	if lines := s.logged("reason"); len(lines) > 1000 { // which is three minutes' worth
		t.Errorf("logged %d lines", len(lines))
	}
}

// TestTypesThatAreNotServed asks for such types first, and for one that is served then. The node of the first request counts.
func TestTypesThatAreNotServed(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.cache.Publish(scope, set(res(lds, "l", "l1")))
	d, st := s.delta(t, gatewayNode("ns/gw")), s.state(t, gatewayNode("ns/gw"))
	for range 3 {
		for _, typeURL := range []string{"type.googleapis.com/envoy.service.runtime.v3.Runtime", "type.googleapis.com/other\nforged"} {
			d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL})
			st.subscribe(typeURL)
		}
	}
	d.subscribe(lds)
	d.wantAck("listeners +l=l1")
	st.subscribe(lds)
	st.wantAck("listeners l1")
	if lines := s.logged("isn't served"); len(lines) != 2 || strings.Contains(lines[1], "\n") {
		t.Errorf("logged %q, want a line for each type", lines)
	}
}
