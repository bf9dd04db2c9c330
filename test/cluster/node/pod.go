//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// retryInterval is when something is tried again that a Pod waits for.
const retryInterval = time.Second

// pod is a Pod of this node. One goroutine, run, has it live and die.
type pod struct {
	node *Node
	key  types.NamespacedName
	uid  types.UID
	dir  string // of its files

	latest  atomic.Pointer[corev1.Pod]
	changed chan struct{} // the API's Pod has changed, or a container
	// starting ends when the Pod is deleted: what it waits for to start is no longer waited for.
	starting   context.Context
	stopStarts context.CancelFunc
	gone       atomic.Bool // from the API

	sandbox *sandbox
	since   metav1.Time
	problem error             // why the containers don't start
	written *corev1.PodStatus // what the API has

	mu      sync.Mutex
	runners []*runner // the sidecar is the first one
}

// problem is why a container doesn't start, with the reason that users know from kubelets.
type problem struct {
	reason string
	error
}

func (p problem) Unwrap() error { return p.error }

// errNever is a problem that doesn't go away.
var errNever = errors.New("this node can't run the Pod")

func newPod(n *Node, object *corev1.Pod) *pod {
	p := &pod{
		node: n, key: types.NamespacedName{Namespace: object.Namespace, Name: object.Name}, uid: object.UID,
		dir: filepath.Join(n.dir, string(object.UID)), changed: make(chan struct{}, 1), since: metav1.Now(),
	}
	p.starting, p.stopStarts = context.WithCancel(n.running)
	p.update(object)
	return p
}

// update tells the Pod what the API has.
func (p *pod) update(object *corev1.Pod) {
	p.latest.Store(object)
	if object.DeletionTimestamp != nil {
		p.stopStarts()
	}
	p.notice()
}

// vanish tells the Pod that the API has it no more.
func (p *pod) vanish() {
	p.gone.Store(true)
	p.stopStarts()
	p.notice()
}

func (p *pod) notice() {
	select {
	case p.changed <- struct{}{}:
	default: // it will look
	}
}

// run has the Pod live until it is deleted, or the node ends.
func (p *pod) run(ctx context.Context) {
	defer p.stopStarts()
	defer p.close()
	var retry <-chan time.Time
	started := false
	for {
		if p.gone.Load() || ctx.Err() != nil {
			p.endContainers(0)
			return
		}
		if object := p.latest.Load(); object.DeletionTimestamp != nil {
			p.terminate(ctx, object)
			return
		}
		if !started && retry == nil {
			p.problem = p.start()
			started = p.problem == nil
			if !started && !errors.Is(p.problem, errNever) {
				retry = time.After(retryInterval)
			}
		}
		if err := p.writeStatus(ctx); err != nil && ctx.Err() == nil {
			p.report("Writing the status", err)
			retry = time.After(retryInterval)
		}
		select {
		case <-p.changed:
		case <-retry:
			retry = nil
		case <-ctx.Done():
		}
	}
}

// start has the Pod's containers start. It can be called again after an error.
func (p *pod) start() error {
	ctx := p.starting
	object := p.latest.Load()
	fields, err := dishonoured(object)
	if err != nil {
		return err
	}
	if len(fields) > 0 {
		return problem{"Unsupported", fmt.Errorf("%w: it does nothing about %s", errNever, strings.Join(fields, ", "))}
	}
	if err := p.bind(ctx, object); err != nil {
		return err
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	injection := &Injection{}
	if p.node.options.Inject != nil {
		injected, err := p.node.options.Inject(ctx, p.withAddress())
		if err != nil {
			return problem{"Injecting", err}
		}
		if injected != nil {
			injection = injected
		}
	}
	runners, err := p.prepare(ctx, injection)
	if err != nil {
		return err
	}
	if injection.Sidecar != nil {
		if err := redirect(p.sandbox.network); err != nil {
			return err
		}
	}
	p.launch(ctx, runners, injection.Sidecar != nil)
	return nil
}

// bind does what the scheduler does.
func (p *pod) bind(ctx context.Context, object *corev1.Pod) error {
	if object.Spec.NodeName != "" {
		return nil
	}
	err := p.node.client.CoreV1().Pods(p.key.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: p.key.Name, UID: p.uid},
		Target:     corev1.ObjectReference{Kind: "Node", Name: nodeName},
	}, metav1.CreateOptions{})
	if apierrors.IsConflict(err) {
		return nil // it was bound at an earlier attempt
	}
	return err
}

// connect gives the Pod its network, and its folder.
func (p *pod) connect(ctx context.Context) error {
	if p.sandbox != nil {
		return nil
	}
	var sysctls []corev1.Sysctl
	if c := p.spec().SecurityContext; c != nil {
		sysctls = c.Sysctls
	}
	for _, s := range sysctls {
		if !strings.HasPrefix(s.Name, "net.") {
			return problem{"Unsupported", fmt.Errorf("%w: sysctl %s isn't one of its network", errNever, s.Name)}
		}
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	made, err := newSandbox(p.node.address(), sysctls)
	if err != nil {
		return err
	}
	p.sandbox = made
	hosts := fmt.Sprintf("127.0.0.1\tlocalhost\n::1\tlocalhost\n%s\t%s\n", made.addr, p.hostname())
	resolv := fmt.Sprintf("nameserver %s\nsearch %s.svc.%[3]s svc.%[3]s %[3]s\noptions ndots:5\n", DNS, p.key.Namespace, clusterDomain)
	for path, text := range map[string]string{p.hosts(): hosts, p.resolvConf(): resolv} {
		if err := (file{data: text, mode: 0o644}).write(path); err != nil {
			return err
		}
	}
	// Those who look for the Pod's address, as Inject's callee may, should find it.
	return p.writeStatus(ctx)
}

// prepare returns what is to run, the sidecar first.
func (p *pod) prepare(ctx context.Context, injection *Injection) ([]*runner, error) {
	if err := p.makeVolumes(ctx); err != nil {
		return nil, problem{"ContainerCreating", err}
	}
	var runners []*runner
	add := func(c *corev1.Container, extra *Injection) error {
		is, err := p.resolve(ctx, c, extra)
		if err != nil {
			return err
		}
		runners = append(runners, newRunner(p, is))
		return os.MkdirAll(is.config.Root.Base, 0o700)
	}
	if s := injection.Sidecar; s != nil {
		c := &corev1.Container{
			Name: sidecarName, Image: s.Image, Args: s.Args, Env: s.Env, ReadinessProbe: s.Ready,
			SecurityContext: &corev1.SecurityContext{
				RunAsUser: new(int64(SidecarUser)), RunAsGroup: new(int64(SidecarUser)), AllowPrivilegeEscalation: new(false),
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}
		if err := add(c, &Injection{Files: s.Files}); err != nil {
			return nil, fmt.Errorf("sidecar: %w", err)
		}
	}
	for i := range p.spec().Containers {
		if err := add(&p.spec().Containers[i], injection); err != nil {
			return nil, err
		}
	}
	return runners, nil
}

// launch starts containers. The others wait for a sidecar, which is the first one.
func (p *pod) launch(ctx context.Context, runners []*runner, sidecar bool) {
	p.mu.Lock()
	p.runners = runners
	p.mu.Unlock()
	go func() {
		if sidecar {
			go runners[0].run()
			select {
			case <-runners[0].ready:
			case <-ctx.Done():
			}
			runners = runners[1:]
		}
		for _, r := range runners {
			go r.run()
		}
	}()
}

// terminate ends the containers as the Pod asks for, and has the API forget it.
func (p *pod) terminate(ctx context.Context, object *corev1.Pod) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.endContainers(time.Duration(value(object.DeletionGracePeriodSeconds)) * time.Second)
	}()
	for running := true; running; {
		if err := p.writeStatus(ctx); err != nil && ctx.Err() == nil {
			p.report("Writing the status", err)
		}
		select {
		case <-p.changed:
			if p.gone.Load() { // it was deleted by force
				p.endContainers(0)
			}
		case <-ctx.Done():
			p.endContainers(0)
			<-ended
			return
		case <-ended:
			running = false
		}
	}
	for {
		err := p.writeStatus(ctx)
		if err == nil {
			err = p.node.client.CoreV1().Pods(p.key.Namespace).Delete(ctx, p.key.Name, metav1.DeleteOptions{
				GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(p.uid)),
			})
		}
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || ctx.Err() != nil {
			return
		}
		p.report("Deleting", err)
		select {
		case <-time.After(retryInterval):
		case <-ctx.Done():
		}
	}
}

// endContainers returns when no container runs. A sidecar is ended last.
func (p *pod) endContainers(grace time.Duration) {
	p.stopStarts()
	p.mu.Lock()
	runners := slices.Clone(p.runners)
	p.mu.Unlock()
	deadline := time.Now().Add(grace)
	var ends sync.WaitGroup
	var sidecar *runner
	for _, r := range runners {
		if r.name == sidecarName {
			sidecar = r
			continue
		}
		ends.Go(func() { r.end(time.Until(deadline)) })
	}
	ends.Wait()
	if sidecar != nil {
		sidecar.end(time.Until(deadline))
	}
}

// close removes the Pod's network and files.
func (p *pod) close() {
	var err error
	if p.sandbox != nil {
		err = p.sandbox.close()
	}
	if err := errors.Join(err, os.RemoveAll(p.dir)); err != nil {
		p.report("Removing", err)
	}
}

func (p *pod) report(what string, err error) {
	p.node.logger.Error(what, "pod", p.key, "err", err)
}

func (p *pod) spec() *corev1.PodSpec { return &p.latest.Load().Spec }

// withAddress returns the Pod with the status that it has by now.
func (p *pod) withAddress() *corev1.Pod {
	object := p.latest.Load().DeepCopy()
	object.Status = *p.status()
	object.Spec.NodeName = nodeName
	return object
}

func (p *pod) hostname() string {
	if name := p.spec().Hostname; name != "" {
		return name
	}
	const limit = 63 // of Linux
	return strings.TrimRight(p.key.Name[:min(len(p.key.Name), limit)], "-.")
}

// grace is how long containers have to end when they are started again.
func (p *pod) grace() time.Duration {
	return time.Duration(value(p.spec().TerminationGracePeriodSeconds)) * time.Second
}

// runner returns the container with a name.
func (p *pod) runner(name string) (*runner, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.runners {
		if r.name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("container %s of %s has not been started", name, p.key)
}
