package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// replicas takes in which replicas are present.
func (r *roster) replicas(present map[string]struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := r.present == nil
	for replica := range r.present {
		if _, ok := present[replica]; !ok {
			lost = true
		}
	}
	r.present = present
	if lost {
		select {
		case r.sweeps <- struct{}{}:
		default: // it is to be done already
		}
	}
}

// isPresent asks etcd: what has been heard of a replica may be older than its EnvoyNodes.
func (r *roster) isPresent(ctx context.Context, replica string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	there := r.config
	there.Replica = replica
	response, err := r.config.Client.Get(ctx, there.presence(), clientv3.WithCountOnly())
	if err != nil {
		return false, fmt.Errorf("looking for replica %s: %w", replica, err)
	}
	return response.Count > 0, nil
}

// sweep removes EnvoyNodes whose replica is gone, or is this one, which has no such node. Nodes get a while to connect again: then
// another replica takes the EnvoyNode over. It returns after which time to look again.
func (r *roster) sweep(ctx context.Context) (again time.Duration, err error) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list, err := r.config.Objects.ListAll(asking, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return 0, err
	}
	stored, ok := list.(*fleetv1alpha1.EnvoyNodeList)
	if !ok {
		return 0, fmt.Errorf("%T is no list of EnvoyNodes", list)
	}
	leftBehind := r.compare(stored.Items)
	maps.DeleteFunc(r.left, func(replica string, _ time.Time) bool { return leftBehind[replica] == nil })
	again = sweepEvery
	for replica, objects := range leftBehind {
		if _, known := r.left[replica]; !known {
			r.left[replica] = time.Now()
		}
		if wait := time.Until(r.left[replica].Add(r.linger)); wait > 0 {
			again = min(again, wait)
			continue
		}
		more, err := r.clear(ctx, replica, objects)
		if err != nil {
			return 0, err
		}
		if more {
			again = 0
		}
	}
	return again, nil
}

// compare returns the names of the EnvoyNodes that replicas have left behind, by replica, and has those of this replica's nodes
// written anew that aren't there as they were written: others have taken this replica for gone, and removed them, or taken them
// over although the connection here is newer.
func (r *roster) compare(stored []fleetv1alpha1.EnvoyNode) (leftBehind map[string][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.present == nil {
		return nil
	}
	own := r.config.Replica
	leftBehind = map[string][]string{}
	by := make(map[string]*fleetv1alpha1.EnvoyNodeStatus, len(stored))
	for i := range stored {
		o := &stored[i]
		replica := o.Status.Replica
		by[o.Name] = &o.Status
		if _, present := r.present[replica]; replica == own && !r.has(o) || replica != own && !present {
			leftBehind[replica] = append(leftBehind[replica], o.Name)
		}
	}
	for n, e := range r.nodes {
		if e.written == nil || !e.gone.IsZero() {
			continue
		}
		if has := by[e.object]; has == nil || has.Replica != own && e.written.ConnectedSince.After(has.ConnectedSince.Time) {
			e.written = nil
			r.queue.Add(n)
		}
	}
	return leftBehind
}

// clear removes some of the EnvoyNodes that a replica has left behind, and says whether there are more.
func (r *roster) clear(ctx context.Context, replica string, objects []string) (more bool, err error) {
	if replica != r.config.Replica {
		if present, err := r.isPresent(ctx, replica); present || err != nil {
			return false, err
		}
	}
	// Other replicas begin elsewhere.
	rand.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
	for _, name := range objects[:min(len(objects), clearedAtOnce)] {
		err := r.afford(ctx, func(ctx context.Context) error {
			return r.config.Objects.Remove(ctx, types.NamespacedName{Name: name}, func(obj runtime.Object) error {
				if o, ok := obj.(*fleetv1alpha1.EnvoyNode); !ok || o.Status.Replica != replica || r.owns(o) {
					return errKept
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, errKept) {
			return false, fmt.Errorf("removing EnvoyNode %s: %w", name, err)
		}
	}
	return len(objects) > clearedAtOnce, nil
}

// owns says whether an EnvoyNode is that of a node of this replica: not a second one, which an earlier run has left behind under the
// other of the node's names.
func (r *roster) owns(o *fleetv1alpha1.EnvoyNode) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has(o)
}

// has is owns with r.mu held.
func (r *roster) has(o *fleetv1alpha1.EnvoyNode) bool {
	e := r.nodes[node{o.Status.NodeID, o.Status.Scope}]
	return e != nil && o.Status.Replica == r.config.Replica && (e.object == "" || e.object == o.Name)
}
