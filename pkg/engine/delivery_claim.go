package engine

import (
	"context"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// A claim is the right to say that nodes have what there is, where that isn't said yet. No write that has returned may be missing: the
// leader asks etcd how far all kinds have come, and publishes that, before it claims that the nodes have it.
//
// A write that is stored after etcd was asked, by another replica, is not in that. Its replica says False before the write returns,
// and the leader's True then fails, since the Gateway isn't what the leader has seen any more. Where that is said already, it is said
// again, naming another version, but no more often than every deliveryDoubt: the leader doesn't ask sooner after it has seen such a
// False. So whatever is published in that time is there when the leader asks.
type claim struct {
	// doubted is when this replica last saw that another one had a Gateway of the scope say something else than before that isn't True.
	doubted time.Time
	// asked says that etcd is being asked, and proven that all that was stored then is published. Neither survives a doubt, or that
	// something else is published.
	asked, proven bool
	// told is what this replica last wrote of each Gateway that isn't True.
	told map[graph.Key]telling
}

// A telling is a write of a Gateway: when it began, and the version that it has led to.
type telling struct {
	began   time.Time
	version string
}

func (c *claim) withdraw() { c.asked, c.proven = false, false }

// inDoubt says that another replica has published something a moment ago.
func (c *claim) inDoubt(now time.Time) bool { return now.Before(c.doubted.Add(deliveryDoubt)) }

// owes says that this replica, which isn't the leader, has to say again that something else is published for a Gateway.
func (e *Engine) owes(gateway graph.Key, d *delivery) bool {
	if e.leader || e.inputs.Progress == nil || d.published.Before(d.claim.told[gateway].began.Add(deliveryDoubt)) {
		return false
	}
	said := e.saidDelivered(gateway)
	return said == metav1.ConditionFalse || said != metav1.ConditionTrue && d.sum(time.Now()).Nodes > 0
}

// retracts says that obj is a Gateway of which something else is said than of the one in the graph, and not that all nodes have what
// there is.
func (e *Engine) retracts(key graph.Key, obj any) bool {
	c := deliveredOf(obj)
	return c != nil && c.Status != metav1.ConditionTrue && !equality.Semantic.DeepEqual(c, deliveredOf(e.graph.Object(key)))
}

// told takes note that this replica has written a Gateway that retracts.
func (e *Engine) told(gateway graph.Key, t telling) {
	if _, d := e.deliveryFor(gateway); d != nil {
		d.claim.told[gateway] = t
		maps.DeleteFunc(d.claim.told, func(key graph.Key, _ telling) bool { return e.graph.Object(key) == nil })
	}
}

// doubt takes note that a Gateway retracts as of a version: unless this replica has written it, another one has something that this one
// may not have seen yet.
func (e *Engine) doubt(gateway graph.Key, version string) {
	scope, d := e.deliveryFor(gateway)
	if d == nil {
		return
	}
	delete(d.owed, gateway)
	d.claim.withdraw()
	wait := deliveryPause
	if d.claim.told[gateway].version != version {
		d.claim.doubted, wait = time.Now(), deliveryDoubt
	}
	d.schedule(time.Now().Add(wait))
	e.arm(scope, d)
}

// deliveryFor returns what is known of the nodes of a Gateway, and its scope; nil if that is nothing.
func (e *Engine) deliveryFor(gateway graph.Key) (string, *delivery) {
	key, ok := e.graph.ScopeOf(gateway.NamespacedName())
	if !ok {
		return "", nil
	}
	scope := scopeName(key)
	return scope, e.deliveries[scope]
}

// prove has etcd asked for a scope, unless it has been, or later if there has been a doubt a moment ago.
func (e *Engine) prove(scope string, d *delivery) {
	switch {
	case d.claim.proven || d.claim.asked:
	case e.inputs.Progress == nil:
		d.claim.proven = true // all writes go through this process, which has published them
	case d.claim.inDoubt(time.Now()):
		d.schedule(d.claim.doubted.Add(deliveryDoubt))
	default:
		d.claim.asked = true
		e.unproven[scope] = d
		e.askAll()
	}
}

// askAll asks etcd, once for all scopes that are waiting for it.
func (e *Engine) askAll() {
	if e.asking || len(e.unproven) == 0 {
		return
	}
	asked := e.unproven
	e.asking, e.unproven = true, map[string]*delivery{}
	var end context.CancelFunc
	end = e.start(func(ctx context.Context) {
		within, cancel := context.WithTimeout(ctx, syncBound)
		err := e.syncRevisions(within)
		cancel()
		// Once what was waited for is published, too. An engine that ends needs no more of it.
		_ = e.do(ctx, onceLoaded, func() {
			end()
			e.asking = false
			for scope, d := range asked {
				e.answered(scope, d, err)
			}
			e.askAll()
		})
	})
}

// answered takes what came of asking etcd for a scope.
func (e *Engine) answered(scope string, d *delivery, err error) {
	if e.deliveries[scope] != d || !d.claim.asked {
		return // what has come between has it shown, and etcd asked again
	}
	d.claim.asked = false
	if err != nil {
		e.logger.V(2).Info("Gateways aren't said to be delivered yet: this replica can't tell whether it has all that is stored; will try again",
			"scope", scope, "reason", err)
		d.schedule(time.Now().Add(deliveryPause))
		e.arm(scope, d)
		return
	}
	d.claim.proven = true
	e.show(scope, d)
}
