package scale

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

// attached: several clients create routes of one Gateway at the same time, with and without a node. The Gateway's
// attachedRoutes is read when the last create has returned.
func attached(ctx context.Context, b *Bench) (rows []report.Row, err error) {
	for _, node := range []bool{false, true} {
		row, err := b.attach(ctx, node)
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (b *Bench) attach(ctx context.Context, node bool) (row report.Row, err error) {
	s, err := b.start(ctx)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	// The Gateway has one route, of another kind of name, to begin with, so that a node has something to subscribe to.
	if err := s.loadRoutes(ctx, 0, 1, 1); err != nil {
		return row, err
	}
	what := fmt.Sprintf("%d routes created by %d clients: writes of their Gateway", b.AttachedRoutes, writers)
	if node {
		clients, err := s.connect(ctx, 1, "gw-0", asEnvoy("gw-0")...)
		if err != nil {
			return row, err
		}
		defer func() { err = errors.Join(err, clients.Stop()) }()
		what += ", with a node"
	}
	writes, err := s.watchGateways(ctx)
	if err != nil {
		return row, err
	}
	began := time.Now()
	if err := s.create(ctx, httpRoutes, b.AttachedRoutes, func(i int) object {
		return route(fmt.Sprintf("more-%d", i), "gw-0", "s-0")
	}); err != nil {
		return row, err
	}
	took := time.Since(began)
	gw, err := s.Resource(gateways).Namespace(namespace).Get(ctx, "gw-0", metav1.GetOptions{})
	if err != nil {
		return row, err
	}
	count, err := attachedRoutes(gw)
	if err != nil {
		return row, err
	}
	n, err := writes(gw.GetResourceVersion())
	if err != nil {
		return row, err
	}
	row = report.Row{
		What:   what,
		Figure: fmt.Sprintf("%d, attachedRoutes right at once", n),
		Target: "at most 200", Verdict: report.Judge(n, 201),
		Details: fmt.Sprintf("%.0f creates a second", float64(b.AttachedRoutes)/took.Seconds()),
	}
	if want := b.AttachedRoutes + 1; count != want {
		row.Figure, row.Verdict = fmt.Sprintf("%d, attachedRoutes is %d and not %d", n, count, want), report.Missed
	}
	return row, nil
}

// attachedRoutes is that of the first listener.
func attachedRoutes(gw *unstructured.Unstructured) (int, error) {
	listeners, _, err := unstructured.NestedSlice(gw.Object, "status", "listeners")
	if err != nil || len(listeners) == 0 {
		return 0, fmt.Errorf("the Gateway has no listeners in its status: %w", err)
	}
	count, ok := listeners[0].(object)["attachedRoutes"].(int64)
	if !ok {
		return 0, errors.New("the listener has no attachedRoutes")
	}
	return int(count), nil
}

// watchGateways returns a function that counts the writes of Gateways up to a resource version.
func (s *server) watchGateways(ctx context.Context) (func(last string) (int, error), error) {
	list, err := s.Resource(gateways).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	w, err := s.Resource(gateways).Namespace(namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return nil, err
	}
	return func(last string) (writes int, _ error) {
		defer w.Stop()
		for e := range w.ResultChan() {
			gw, ok := e.Object.(*unstructured.Unstructured)
			if !ok || e.Type != watch.Modified {
				return writes, fmt.Errorf("the watch says %s", e.Type)
			}
			writes++
			if gw.GetResourceVersion() == last {
				return writes, nil
			}
		}
		return writes, errors.New("the watch ended")
	}, nil
}
