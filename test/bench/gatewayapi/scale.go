package gatewayapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

// Rates of the churn: one route, and these EndpointSlices, change in a second.
const slicesPerSecond = 10

// routeScale creates many routes, each with a Service of its own, and then changes some at a steady rate.
func routeScale(ctx context.Context, r *run) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := r.createGateway(ctx, false); err != nil {
		return err
	}
	name := func(i int) string { return fmt.Sprintf("app-%d", i) }
	statuses, err := r.verdicts(ctx, routes, r.routeInEffect)
	if err != nil {
		return err
	}
	use := r.usage()
	began := time.Now()
	if err := errors.Join(
		r.create(ctx, services, r.Routes, func(i int) object { return service(name(i)) }, nil),
		r.create(ctx, endpointSlices, r.Routes, func(i int) object { return slice(name(i), 8080, somewhere(i)) }, nil),
	); err != nil {
		return err
	}
	created := time.Now()
	if err := r.create(ctx, routes, r.Routes, func(i int) object {
		return route(name(i), host(name(i)), "/", name(i), object{"name": GatewayName})
	}, func(_ int, u *unstructured.Unstructured) { statuses.wrote(u) }); err != nil {
		return err
	}
	returned := time.Now()
	delays, err := statuses.delays(ctx, r, "routes")
	if err != nil {
		return err
	}
	r.row("routes created", "%d by %d clients, %.0f a second (and as many Services and EndpointSlices: %s in all)",
		r.Routes, r.Clients, float64(r.Routes)/returned.Sub(created).Seconds(), report.Duration(returned.Sub(began)))
	r.row("a route's status after the response to its create", "%s", summary(delays))
	if err := use.row("while they were created"); err != nil {
		return err
	}
	statuses.forget()
	use = r.usage()
	if err := r.churn(ctx, name, statuses); err != nil {
		return err
	}
	if delays, err = statuses.delays(ctx, r, "changed routes"); err != nil {
		return err
	}
	r.row(fmt.Sprintf("a route's status after the response to its update, one a second, and %d EndpointSlices", slicesPerSecond), "%s", summary(delays))
	return use.row("meanwhile")
}

// churn changes routes and endpoints at a steady rate.
func (r *run) churn(ctx context.Context, name func(i int) string, statuses *verdicts) error {
	ticker := time.NewTicker(time.Second / slicesPerSecond)
	defer ticker.Stop()
	began := time.Now()
	for i := 0; time.Since(began) < r.Churn; i++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if i%slicesPerSecond == 0 {
			changed := name(i % r.Routes)
			rules, err := json.Marshal(object{"spec": object{
				"rules": route(changed, "", fmt.Sprintf("/%d", i), changed, nil)["spec"].(object)["rules"],
			}})
			if err != nil {
				return err
			}
			u, err := r.patch(ctx, routes, changed, string(rules))
			if err != nil {
				return err
			}
			statuses.wrote(u)
		}
		moved, err := json.Marshal(object{"endpoints": endpoints(somewhere(r.Routes + i))})
		if err != nil {
			return err
		}
		// 7919 is prime, so all have their turn, and no neighbours.
		if _, err := r.patch(ctx, endpointSlices, name(i*7919%r.Routes), string(moved)); err != nil {
			return err
		}
	}
	return nil
}

// routesOfSet is how many routes a ListenerSet has, as in gateway-api-bench.
const routesOfSet = 16

// listenerSetScale creates many ListenerSets, each with a listener for HTTPS of its own host, and routes of these.
func listenerSetScale(ctx context.Context, r *run) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	kind, err := r.listenerSetsOf()
	if err != nil {
		return err
	}
	secret, err := certificate()
	if err != nil {
		return err
	}
	if _, err := r.createGateway(ctx, false); err != nil {
		return err
	}
	if err := errors.Join(
		r.createOne(ctx, secrets, r.Namespace, secret),
		r.createOne(ctx, services, r.Namespace, service("app")),
	); err != nil {
		return err
	}
	sets, err := r.verdicts(ctx, kind, setInEffect)
	if err != nil {
		return err
	}
	statuses, err := r.verdicts(ctx, routes, r.routeInEffect)
	if err != nil {
		return err
	}
	name := func(i int) string { return fmt.Sprintf("set-%d", i) }
	form := object{"apiVersion": kind.GroupVersion().String(), "kind": "ListenerSet"}
	if kind != listenerSets[0] {
		form["kind"] = "XListenerSet"
	}
	use := r.usage()
	began := time.Now()
	if err := r.create(ctx, kind, r.ListenerSets, func(i int) object {
		return r.listenerSet(form, name(i))
	}, func(_ int, u *unstructured.Unstructured) { sets.wrote(u) }); err != nil {
		return err
	}
	created := time.Now()
	delays, err := sets.delays(ctx, r, "ListenerSets")
	if err != nil {
		return err
	}
	r.row("ListenerSets created", "%d by %d clients, %.0f a second", r.ListenerSets, r.Clients, float64(r.ListenerSets)/created.Sub(began).Seconds())
	r.row("a ListenerSet's status after the response to its create", "%s", summary(delays))

	began = time.Now()
	n := r.ListenerSets * routesOfSet
	if err := r.create(ctx, routes, n, func(i int) object {
		set := name(i / routesOfSet)
		return route(fmt.Sprintf("%s-%d", set, i%routesOfSet), host(set), fmt.Sprintf("/%d", i%routesOfSet), "app",
			object{"group": kind.Group, "kind": form["kind"], "name": set})
	}, func(_ int, u *unstructured.Unstructured) { statuses.wrote(u) }); err != nil {
		return err
	}
	created = time.Now()
	if delays, err = statuses.delays(ctx, r, "routes"); err != nil {
		return err
	}
	r.row("routes of ListenerSets created", "%d by %d clients, %.0f a second", n, r.Clients, float64(n)/created.Sub(began).Seconds())
	r.row("a route's status after the response to its create", "%s", summary(delays))
	return use.row("meanwhile")
}

// listenerSet has one listener.
func (r *run) listenerSet(form object, name string) object {
	return object{
		"apiVersion": form["apiVersion"], "kind": form["kind"], "metadata": object{"name": name},
		"spec": object{
			"parentRef": object{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": GatewayName},
			"listeners": []any{object{
				"name": "https", "hostname": host(name), "protocol": "HTTPS", "port": int64(r.Port) + 1,
				"tls": object{"mode": "Terminate", "certificateRefs": []any{object{"group": "", "kind": "Secret", "name": secretName}}},
			}},
		},
	}
}
