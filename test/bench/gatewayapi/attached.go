package gatewayapi

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

// attachedRoutes creates routes of a Gateway and deletes them, and looks at how the Gateway's status follows.
func attachedRoutes(ctx context.Context, r *run) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := r.createGateway(ctx, false); err != nil {
		return err
	}
	if err := r.createOne(ctx, services, r.Namespace, service("app")); err != nil {
		return err
	}
	counter := &attachedCounter{}
	if err := r.follow(ctx, gateways, counter.see); err != nil {
		return err
	}
	name := func(i int) string { return fmt.Sprintf("route-%d", i) }

	before := counter.writes()
	began := time.Now()
	if err := r.create(ctx, routes, r.Routes, func(i int) object {
		return route(name(i), host(name(i)), "/", "app", object{"name": GatewayName})
	}, nil); err != nil {
		return err
	}
	created := time.Now()
	var gw gwv1.Gateway
	if err := r.get(ctx, gateways, r.Namespace, GatewayName, &gw); err != nil {
		return err
	}
	r.row("routes created", "%d by %d clients, %.0f a second", r.Routes, r.Clients, float64(r.Routes)/created.Sub(began).Seconds())
	r.row("attachedRoutes when the last create returns", "%d of %d", gw.Status.Listeners[0].AttachedRoutes, r.Routes)
	set, err := counter.wait(ctx, r, r.Routes)
	if err != nil {
		return err
	}
	r.row("attachedRoutes right after the last create", "%s", report.Duration(max(0, set.Sub(created))))

	if err := r.each(ctx, r.Routes, func(ctx context.Context, i int) error {
		return r.client.Resource(routes).Namespace(r.Namespace).Delete(ctx, name(i), metav1.DeleteOptions{})
	}); err != nil {
		return err
	}
	deleted := time.Now()
	gone, err := counter.wait(ctx, r, 0)
	if err != nil {
		return err
	}
	r.row("attachedRoutes 0 after the last delete", "%s", report.Duration(max(0, gone.Sub(deleted))))
	r.row("writes of the Gateway", "%d", counter.writes()-before)
	r.row("most attachedRoutes ever said", "%d of %d", counter.most(), r.Routes)
	return nil
}

// attachedCounter notes what a Gateway's status says of its first listener.
type attachedCounter struct {
	mu      sync.Mutex
	states  int
	highest int
	last    int
	since   time.Time // when it first said the last
}

func (c *attachedCounter) see(u *unstructured.Unstructured) {
	now := time.Now()
	var gw gwv1.Gateway
	if convert(u, &gw) != nil || len(gw.Status.Listeners) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states++
	if n := int(gw.Status.Listeners[0].AttachedRoutes); n != c.last || c.since.IsZero() {
		c.last, c.since = n, now
		c.highest = max(c.highest, n)
	}
}

// wait returns when the status first said n, once it does.
func (c *attachedCounter) wait(ctx context.Context, r *run, n int) (at time.Time, err error) {
	err = r.until(ctx, fmt.Sprintf("attachedRoutes is %d", n), func() (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		at = c.since
		return c.last == n, nil
	})
	return at, err
}

func (c *attachedCounter) writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.states
}

func (c *attachedCounter) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.highest
}
