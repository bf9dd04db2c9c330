package engine

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// provisioners is how many Gateways are provisioned at a time.
const provisioners = 4

// Infrastructure gives Gateways what they are to have in a cluster. What comes of it, the engine learns from the Services
// there.
type Infrastructure interface {
	// Ensure brings what a Gateway has to what is wanted; nil if it is to have nothing. A problem is what the status of the
	// Gateway has to say, an error is that it could not be tried. After both it is called again.
	Ensure(ctx context.Context, gateway types.NamespacedName, wanted *graph.Infrastructure) (*graph.Problem, error)
	// Watch calls changed with each Gateway that has something, and again whenever something of that has changed, until ctx
	// ends.
	Watch(ctx context.Context, changed func(gateway types.NamespacedName))
}

// provisioning is a term of a leader that provisions.
type provisioning struct {
	queue workqueue.TypedRateLimitingInterface[types.NamespacedName]
	end   context.CancelFunc

	mu      sync.Mutex
	failing map[types.NamespacedName]string // what has been logged
}

// setProvisioning begins or ends a term. A leader looks at every Gateway that is to have something and, by Watch, at every
// one that has something: what happened before its term doesn't matter.
func (e *Engine) setProvisioning(leader bool) {
	if e.provisioning != nil {
		e.provisioning.end()
		e.provisioning = nil
	}
	if !leader || e.inputs.Infrastructure == nil {
		return
	}
	p := &provisioning{
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](retryMin, retryMax)),
		failing: map[types.NamespacedName]string{},
	}
	for _, gateway := range e.graph.Provisioned() {
		p.queue.Add(gateway)
	}
	p.end = e.start(func(ctx context.Context) {
		defer context.AfterFunc(ctx, p.queue.ShutDown)()
		var working sync.WaitGroup
		defer working.Wait()
		for range provisioners {
			working.Go(func() { e.provision(ctx, p) })
		}
		e.inputs.Infrastructure.Watch(ctx, p.queue.Add)
	})
	e.provisioning = p
}

// enqueueInfrastructure has Gateways provisioned, if this replica is the leader.
func (e *Engine) enqueueInfrastructure(gateways map[types.NamespacedName]struct{}) {
	if e.provisioning == nil {
		return
	}
	for gateway := range gateways {
		e.provisioning.queue.Add(gateway)
	}
}

// provision provisions queued Gateways until ctx ends. As with statuses, a Gateway that changes while it is provisioned
// comes again.
func (e *Engine) provision(ctx context.Context, p *provisioning) {
	for {
		gateway, shutdown := p.queue.Get()
		if shutdown {
			return
		}
		problem, err := e.ensure(ctx, gateway)
		switch {
		case ctx.Err() != nil: // another replica will
		case problem != nil || err != nil:
			p.failed(e, gateway, problem, err)
			p.queue.AddRateLimited(gateway)
		default:
			p.succeeded(gateway)
			p.queue.Forget(gateway)
		}
		p.queue.Done(gateway)
	}
}

// failed logs what is in the way, once.
func (p *provisioning) failed(e *Engine, gateway types.NamespacedName, problem *graph.Problem, err error) {
	result, message := "error", ""
	if problem != nil {
		result, message = "refused", problem.Message
	} else {
		message = err.Error()
	}
	provisionings.WithLabelValues(result).Inc()
	p.mu.Lock()
	known := p.failing[gateway] == message
	p.failing[gateway] = message
	p.mu.Unlock()
	switch {
	case known:
	case problem != nil:
		e.logger.Info("A Gateway can't be provisioned; will try again", "namespace", gateway.Namespace, "name", gateway.Name,
			"reason", problem.Reason, "message", problem.Message)
	default:
		e.logger.Error(err, "Provisioning a Gateway; will try again", "namespace", gateway.Namespace, "name", gateway.Name)
	}
}

func (p *provisioning) succeeded(gateway types.NamespacedName) {
	provisionings.WithLabelValues("done").Inc()
	p.mu.Lock()
	delete(p.failing, gateway)
	p.mu.Unlock()
}

// ensure provisions a Gateway as the graph has it now.
func (e *Engine) ensure(ctx context.Context, gateway types.NamespacedName) (*graph.Problem, error) {
	var wanted *graph.Infrastructure
	var known bool
	if err := e.do(ctx, onceLoaded, func() { wanted, known = e.graph.Infrastructure(gateway) }); err != nil || !known {
		return nil, err
	}
	problem, err := e.inputs.Infrastructure.Ensure(ctx, gateway, wanted)
	if err == nil && wanted != nil {
		err = e.report(ctx, wanted, problem)
	}
	return problem, err
}

// report puts into the status of a Gateway what is in the way of its infrastructure, from where all replicas know it, or
// takes it out of there.
func (e *Engine) report(ctx context.Context, wanted *graph.Infrastructure, problem *graph.Problem) error {
	var reported bool
	if err := e.do(ctx, atOnce, func() {
		facts := e.graph.Gateway(wanted.Gateway)
		reported = facts == nil || facts.Infrastructure == nil || facts.Infrastructure.HasFailed(problem)
	}); err != nil || reported {
		return err
	}
	stored, err := e.inputs.Writers[graph.KindGateway].UpdateStatus(ctx, wanted.Gateway, func(obj runtime.Object) {
		if gw := obj.(*gwv1.Gateway); gw.UID == wanted.UID {
			gw.Status = status.ProvisioningFailed(problem, gw.Status, gw.Generation, metav1.Now())
		}
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return e.do(ctx, atOnce, func() {
		stale, _ := e.feedOf(stored).committed(stored.(metav1.Object), false)
		e.enqueue(stale)
	})
}
