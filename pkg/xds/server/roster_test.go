package server

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// TestObserver: who only looks gets what nodes get, and is none of them.
func TestObserver(t *testing.T) {
	t.Parallel()
	s := serve(t, secured)
	s.cache.Publish(scope, set(res(lds, "l", "l1")))
	client := s.with(t, trustDomain+"/gateway/ns/gw")
	looking, node := gatewayNode("ns/gw"), gatewayNode("ns/gw")
	looking.Id, looking.Metadata.Fields[nodes.ObserverKey] = "looks", structpb.NewStringValue("true")
	observer, served := client.delta(t, looking), client.delta(t, node)
	observer.subscribe(lds)
	observer.wantAck("listeners +l=l1")
	served.subscribe(lds)
	response := served.want("listeners +l=l1")
	if d := s.cache.Delivery(scope); d.Streams != 1 || d.Current != 0 || d.Rejecting != 0 {
		t.Errorf("of a node and an observer, %+v", d)
	}
	if all := s.Nodes(); len(all) != 1 || all[0].ID != node.Id {
		t.Errorf("nodes are %+v", all)
	}
	served.ack(response)
	observer.CloseSend()
	s.cache.Publish(scope, set(res(lds, "l", "l2")))
	served.wantAck("listeners +l=l2")
	if d := s.cache.Delivery(scope); d.Streams != 1 {
		t.Errorf("without the observer, %+v", d)
	}
}

// TestNodes holds what is known of nodes, as it changes.
func TestNodes(t *testing.T) {
	t.Parallel()
	s := serve(t, secured)
	s.cache.Publish(scope, set(res(lds, "l", "l1"), res(rds, "r", "r1")))
	seen := make(chan NodeInfo, 100)
	stop := s.Follow(func(n NodeInfo, gone bool) {
		if gone {
			n.Cluster = "gone"
		}
		seen <- n
	})
	defer stop()
	until := func(what string, reached func(NodeInfo) bool) NodeInfo {
		t.Helper()
		for last := (NodeInfo{}); ; {
			select {
			case last = <-seen:
				if reached(last) {
					return last
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: last seen is %+v", what, last)
			}
		}
	}
	client := s.with(t, trustDomain+"/gateway/ns/gw")
	d, second := client.delta(t, gatewayNode("ns/gw")), client.delta(t, gatewayNode("ns/gw"))
	d.node.Cluster, d.node.UserAgentVersionType = "edge\n", buildVersion(1, 36, 2)
	d.subscribe(lds)
	resp := d.want("listeners +l=l1")
	until("connected", func(n NodeInfo) bool { return n.Streams == 1 && !n.Current })
	d.ack(resp)
	n := until("current", func(n NodeInfo) bool { return n.Current })
	if n.ID != "node-1" || n.Cluster != `edge\n` || n.Identity != trustDomain+"/gateway/ns/gw" || n.Scope != scope || n.Version != "1.36.2" || n.Protocol != "delta" ||
		n.Since.IsZero() || n.Acknowledged[lds] == "" || len(n.Rejected) > 0 {
		t.Errorf("got %+v", n)
	}
	second.subscribe(rds, "r")
	second.nack(second.want("routes +r=r1"), "no")
	n = until("rejected", func(n NodeInfo) bool { return len(n.Rejected) > 0 })
	if n.Streams != 2 || n.Current || fmt.Sprint(n.Rejected[0].Name) != fmt.Sprintf("{%s r}", rds) || n.Rejected[0].Message != "no" || n.Rejected[0].Version != res(rds, "r", "r1").Version() {
		t.Errorf("got %+v", n)
	}
	if all := s.Nodes(); len(all) != 1 || all[0].Streams != 2 {
		t.Errorf("got %+v", all)
	}
	d.CloseSend()
	until("one stream has ended", func(n NodeInfo) bool { return n.Streams == 1 })
	second.CloseSend()
	until("gone", func(n NodeInfo) bool { return n.Cluster == "gone" && n.ID == "node-1" && n.Scope == scope })
	if all := s.Nodes(); len(all) > 0 {
		t.Errorf("got %+v", all)
	}

	// Who follows later is told of what there is.
	third := client.delta(t, gatewayNode("ns/gw"))
	third.subscribe(lds)
	third.wantAck("listeners +l=l1")
	stop()
	stop()
	late := make(chan NodeInfo, 1)
	defer s.Follow(func(n NodeInfo, _ bool) {
		select {
		case late <- n:
		default:
		}
	})()
	if n := <-late; n.ID != "node-1" {
		t.Errorf("got %+v", n)
	}
}

// TestNodeIsLeftBehind: a node that has everything comes to lack something, of which it is sent nothing, because another replica has
// parked it.
func TestNodeIsLeftBehind(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"delta", "sotw"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			next := res(lds, "l", "l2")
			s.cache.Publish(scope, set(res(lds, "l", "l1")))
			if protocol == "delta" {
				d := s.delta(t, gatewayNode("ns/gw"))
				d.subscribe(lds)
				d.wantAck("listeners +l=l1")
			} else {
				d := s.state(t, gatewayNode("ns/gw"))
				d.subscribe(lds)
				d.wantAck("listeners l1")
			}
			current := make(chan bool)
			stop := make(chan struct{})
			defer s.Follow(func(n NodeInfo, _ bool) {
				select {
				case current <- n.Current:
				case <-stop:
				}
			})()
			defer close(stop)
			until := func(want bool) {
				t.Helper()
				timeout := time.After(10 * time.Second)
				for {
					select {
					case got := <-current:
						if got == want {
							return
						}
					case <-timeout:
						t.Fatalf("not told that the node is current: %v", want)
					}
				}
			}
			until(true)
			s.cache.Park(scope, cache.Name{TypeURL: lds, Name: "l"}, next.Version(), nil)
			s.cache.Publish(scope, set(next))
			until(false)
		})
	}
}
