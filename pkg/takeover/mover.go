package takeover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/transfer"
)

// Options say what to move, and how.
type Options struct {
	// Kube is kube-apiserver, and Server is gateway-apiserver, asked directly.
	Kube, Server *rest.Config
	// CABundle are the authorities, PEM, that kube-apiserver is to trust until gateway-apiserver says it itself.
	CABundle []byte
	// Namespace is where gateway-apiserver is installed.
	Namespace string
	// Controller is gateway-apiserver as the writer of status, which does not move.
	Controller transfer.Controller
	// Conflict says which side is right about objects that both sides have changed.
	Conflict Conflict
	// Extra says what to do with objects that are only on the side to which objects move, and were not moved there.
	Extra Extra
	// SkipUnserved leaves objects where they are that gateway-apiserver can't have.
	SkipUnserved bool
	// DryRun changes nothing, and has the servers try what can be tried.
	DryRun bool
	// Settle is how long nothing may have been written to the old side before it is left. A request to kube-apiserver can
	// take a minute.
	Settle time.Duration
	// Timeout is how long to wait for what kube-apiserver does on its own: to serve a version, or an APIService.
	Timeout time.Duration
	// Print prints a line to the user.
	Print func(line string)
}

// mover is a move with all that it takes.
type mover struct {
	Options
	direction    direction
	report       *reporter
	kube         dynamic.Interface
	definitions  definitions
	store        store
	registration install.Registration
	crds         crdSide
	server       serverSide

	state    state
	lanes    lanes
	unserved []unserved
	opened   bool // the side doors
}

// Takeover moves the objects of the CustomResourceDefinitions to gateway-apiserver, and then the APIServices. An error
// means that it is not complete, and can be run again.
func Takeover(ctx context.Context, o Options) error {
	return run(ctx, o, toServer, (*mover).takeover)
}

// Handback is Takeover in the other direction.
func Handback(ctx context.Context, o Options) error {
	return run(ctx, o, toCRDs, (*mover).handback)
}

func run(ctx context.Context, o Options, d direction, move func(*mover, context.Context) error) error {
	m, err := newMover(ctx, o, d)
	if err != nil {
		return err
	}
	defer m.report.printWarnings()
	if err := m.check(ctx); err != nil {
		return err
	}
	if o.DryRun {
		return m.prepare(ctx, move)
	}
	err = m.store.alone(ctx, func(holder string) {
		m.report.line("waiting for %s, which is moving objects; if that has been killed, it is over in %v", holder, leaseDuration)
	}, func(ctx context.Context) error { return m.prepare(ctx, move) })
	if err != nil && ctx.Err() != nil {
		return errors.New("stopped: run this again to go on")
	}
	return err
}

func newMover(ctx context.Context, o Options, d direction) (*mover, error) {
	kubeConfig, serverConfig := rest.CopyConfig(o.Kube), rest.CopyConfig(o.Server)
	for _, config := range []*rest.Config{kubeConfig, serverConfig} {
		config.QPS = -1 // the servers protect themselves
		config.WarningHandlerWithContext = transfer.WarningCollector{}
	}
	m := &mover{Options: o, direction: d, report: newReporter(o.Print)}
	var err error
	if m.kube, err = dynamic.NewForConfig(kubeConfig); err != nil {
		return nil, err
	}
	clientset, err := kubernetes.NewForConfig(kubeConfig)
	if err != nil {
		return nil, err
	}
	if m.server, err = newServerSide(serverConfig, o.DryRun); err != nil {
		return nil, err
	}
	m.definitions, m.store = definitions{m.kube}, store{clientset, o.Namespace}
	m.crds = crdSide{client: m.kube, dryRun: o.DryRun, uids: &uids{former: map[types.UID]types.UID{}}, controller: o.Controller}
	m.registration, err = install.FindRegistration(ctx, m.kube, o.Namespace)
	return m, err
}

// check refuses to begin what can't end well, for want of a permission.
func (m *mover) check(ctx context.Context) error {
	for _, group := range groups {
		review, err := m.store.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "takeover", Group: group, Resource: "*"}},
		}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("asking kube-apiserver what this user may do: %w", err)
		}
		if !review.Status.Allowed {
			return fmt.Errorf("this user may not move objects: it takes the verbs of an administrator, and takeover, on all resources of %s", group)
		}
	}
	return nil
}

// prepare reads where the cluster stands, and begins.
func (m *mover) prepare(ctx context.Context, move func(*mover, context.Context) error) (err error) {
	if m.state, err = m.store.load(ctx); err != nil {
		return err
	}
	crds, err := m.definitions.list(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, crd := range crds {
		errs = append(errs, checkDefinition(crd))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	m.lanes, m.unserved = newLanes(crds)
	m.opened = true
	for _, crd := range crds {
		moves := slices.ContainsFunc(m.lanes.all(), func(l *lane) bool { return l.crd == crd.Name })
		m.opened = m.opened && (!moves || hasDoor(crd))
	}
	return move(m, ctx)
}

// open opens the side doors.
func (m *mover) open(ctx context.Context, stage string) error {
	for _, l := range m.lanes.all() {
		if err := m.definitions.open(ctx, l.crd, stage, false); err != nil {
			return err
		}
	}
	return m.definitions.waitOpen(ctx, m.lanes.all(), m.Timeout)
}

// leave closes the side doors, and keeps the state.
func (m *mover) leave(ctx context.Context) error {
	if m.DryRun {
		return nil
	}
	crds, err := m.definitions.list(ctx)
	if err != nil {
		return err
	}
	for _, crd := range crds {
		if !hasDoor(crd) {
			continue
		}
		if err := m.definitions.close(ctx, crd.Name); err != nil {
			return err
		}
	}
	if m.state.Direction == "" {
		return nil
	}
	return m.store.save(ctx, m.state)
}

// printResult reports what became of an APIService.
func (m *mover) printResult(r install.Result) {
	m.report.line("%s", strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Object, r.Action, r.Note)))
}
