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

// minPasses is how many passes are made, at least, before the APIServices change while clients go on writing. When there is
// as much to do in a pass as in the one before, there is no point in another one: the rest is caught up afterwards.
const minPasses = 3

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
	return m.store.alone(ctx, func(holder string) {
		m.report.line("waiting for %s, which is moving objects; if that has been killed, it is over in %v", holder, leaseDuration)
	}, func(ctx context.Context) error { return m.prepare(ctx, move) })
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

// takeover goes on from where the cluster stands.
func (m *mover) takeover(ctx context.Context) error {
	ours, err := m.registered(ctx)
	if err != nil {
		return err
	}
	interrupted := m.state.Phase == switching
	switch {
	case m.state.Direction == toCRDs && interrupted:
		return errors.New("a handback has begun to give the APIServices back: run \"gateway-apiserver handback\" to its end first")
	case ours == allOurs && m.state.Direction == toCRDs && m.state.Phase == mirroring:
		m.report.line("a handback was begun and did not come to the APIServices: it is called off")
		m.state.Direction, m.state.Phase = toServer, done
		return m.leave(ctx)
	case ours == allOurs && m.state.Direction == toServer && m.state.Phase == done:
		m.report.line("gateway-apiserver serves the Gateway API already: there is nothing to take over")
		return m.leave(ctx)
	}
	mirror := m.mirror(m.crds, m.server)
	mirror.mirrored = func(o *object) bool {
		return o.record != nil || m.state.HandedBack != nil && o.GetCreationTimestamp().Time.Before(*m.state.HandedBack)
	}
	if ours == noneOurs {
		if err := m.refuseUnserved(ctx); err != nil {
			return err
		}
		if err := m.mirrorAll(ctx, mirror); err != nil || m.DryRun {
			return err
		}
	} else if m.DryRun {
		m.report.line("the APIServices point to gateway-apiserver: what is left to catch up can only be seen through the side doors, which a dry run does not open")
		return nil
	}
	m.report.line("switching the APIServices to gateway-apiserver")
	if err := m.register(ctx); err != nil {
		return err
	}
	if err := m.registration.WaitAvailable(ctx, m.kube, m.Timeout); err != nil {
		return err
	}
	if err := m.catchUp(ctx, mirror); err != nil {
		return err
	}
	m.state = state{Direction: toServer, Phase: done, TakenOver: true}
	if err := m.leave(ctx); err != nil {
		return err
	}
	m.report.line("gateway-apiserver serves the Gateway API. The objects of the CustomResourceDefinitions stay as they were, and nobody sees them")
	return nil
}

// handback goes on from where the cluster stands.
func (m *mover) handback(ctx context.Context) error {
	ours, err := m.registered(ctx)
	if err != nil {
		return err
	}
	interrupted := m.state.Phase == switching
	switch {
	case m.state.Direction == toServer && interrupted:
		return errors.New("a takeover has begun to switch the APIServices: run \"gateway-apiserver takeover\" to its end first")
	case ours == noneOurs && m.state.Direction == toServer && m.state.Phase == mirroring:
		m.report.line("a takeover was begun and did not come to the APIServices: it is called off")
		m.state.Phase = done
		m.state.TakenOver = false
		m.state.Direction = toCRDs
		return m.leave(ctx)
	case ours == noneOurs && !interrupted:
		m.report.line("the CustomResourceDefinitions serve the Gateway API already: there is nothing to hand back")
		return m.leave(ctx)
	}
	mirror := m.mirror(m.server, m.crds)
	mirror.mirrored = func(o *object) bool { return m.state.TakenOver || o.record != nil }
	if ours == allOurs || !interrupted {
		if err := errors.Join(m.refuseHomeless(ctx), m.refuseEmpty(ctx)); err != nil {
			return err
		}
		if err := m.mirrorAll(ctx, mirror); err != nil || m.DryRun {
			return err
		}
	} else if m.DryRun {
		m.report.line("a handback has begun to give the APIServices back: a dry run cannot tell what is left of it")
		return nil
	}
	m.report.line("giving the APIServices back to the CustomResourceDefinitions")
	if err := m.registration.Unregister(ctx, m.kube, false, m.printResult); err != nil {
		return err
	}
	if err := m.waitServed(ctx); err != nil {
		return err
	}
	if err := m.catchUp(ctx, mirror); err != nil {
		return err
	}
	if err := m.forget(ctx); err != nil {
		return err
	}
	if n := m.crds.uids.len(); n > 0 {
		m.report.line("%d objects have another uid and another time of creation than they had, as kube-apiserver gives them to objects that it makes; the annotation %s has the former uid", n, formerUIDAnnotation)
	}
	m.state = state{Direction: toCRDs, Phase: done, HandedBack: new(time.Now())}
	if err := m.leave(ctx); err != nil {
		return err
	}
	m.report.line("the CustomResourceDefinitions serve the Gateway API. gateway-apiserver has its copies until \"gateway-apiserver uninstall\", which also ends the watches that are still open there")
	return nil
}

// mirror is between two sides.
func (m *mover) mirror(from, to side) *mirror {
	mirror := &mirror{
		from: from, to: to, lanes: m.lanes, controller: m.Controller, uids: m.crds.uids, extra: m.Extra,
		dryRun: m.DryRun, report: m.report, written: map[string]bool{},
	}
	if m.Conflict != Fail {
		mirror.sourceWins = new((m.Conflict == UseCRDs) == (m.direction == toServer))
	}
	return mirror
}

// mirrorAll makes the new side as the old one, and verifies it: the last pass compares all objects and finds no difference.
// Then the state says that the APIServices may change.
func (m *mover) mirrorAll(ctx context.Context, mirror *mirror) error {
	if m.DryRun {
		return m.tryAll(ctx, mirror)
	}
	m.state.Direction, m.state.Phase, m.state.Horizons = m.direction, mirroring, nil
	if err := m.store.save(ctx, m.state); err != nil {
		return err
	}
	m.report.line("opening the side door (version %s) of %d CustomResourceDefinitions", sideDoor, len(m.lanes.all()))
	if err := m.open(ctx, "copying"); err != nil {
		return err
	}
	before := 0
	for n := 1; ; n++ {
		pass, err := mirror.run(ctx, nil)
		if err != nil {
			return err
		}
		m.report.line("pass %d from %s to %s: %s", n, mirror.from, mirror.to, pass.summary())
		if pass.failed > 0 {
			return fmt.Errorf("%d objects cannot be moved as they are. Nothing has changed for clients; change the objects, and run this again", pass.failed)
		}
		m.state.Horizons = pass.horizons
		if pass.changes() == 0 {
			m.report.line("verified: all %d objects of %s are the same in %s", pass.objects, mirror.from, mirror.to)
			break
		}
		if n >= minPasses && pass.changes() >= before {
			m.report.line("clients go on writing: the rest is caught up when they write to %s", mirror.to)
			break
		}
		before = pass.changes()
	}
	m.state.Phase = switching
	return m.store.save(ctx, m.state)
}

// tryAll is mirrorAll in a dry run.
func (m *mover) tryAll(ctx context.Context, mirror *mirror) error {
	if !m.opened && m.direction == toCRDs {
		m.report.line("the objects of the CustomResourceDefinitions can only be seen through the side doors, which a dry run does not open: whether they take the objects of gateway-apiserver is not checked")
		return nil
	}
	if !m.opened {
		m.crds.front = true
		mirror.from = m.crds
	}
	for _, l := range m.lanes.all() {
		if err := m.definitions.open(ctx, l.crd, "dry run", true); err != nil {
			return err
		}
	}
	pass, err := mirror.run(ctx, nil)
	if err != nil {
		return err
	}
	m.report.line("dry run from %s to %s: %s", mirror.from, mirror.to, pass.summary())
	if pass.failed > 0 {
		return fmt.Errorf("%d objects cannot be moved as they are", pass.failed)
	}
	return nil
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

// catchUp brings to the new side what was written to the old one until all clients were asking the new one, and ends when
// nothing has been for a while.
func (m *mover) catchUp(ctx context.Context, mirror *mirror) error {
	// Open watches of the CustomResourceDefinitions end when these change. Clients open them anew where the objects are.
	if err := m.open(ctx, "catching up"); err != nil {
		return err
	}
	if m.state.Horizons == nil {
		m.state.Horizons = map[string]horizon{}
	}
	m.report.line("catching up what was written to %s meanwhile, until nothing has been for %v", mirror.from, m.Settle)
	quiet, adopted := time.Now(), 0
	for {
		pass, err := mirror.run(ctx, m.state.Horizons)
		if err != nil {
			return err
		}
		if n := m.crds.uids.len(); m.direction == toCRDs && n > adopted {
			if err := m.adoptDependents(ctx); err != nil {
				return err
			}
			adopted = n
		}
		if pass.failed > 0 {
			return fmt.Errorf("%d objects could not be caught up. Clients write to %s; mend what the lines above say, and run this again", pass.failed, mirror.to)
		}
		// What is caught up now has changed before this horizon. An object that is missing afterwards was deleted by clients.
		m.state.Horizons = pass.horizons
		if pass.changes() > 0 {
			m.report.line("caught up: %s", pass.summary())
			quiet = time.Now()
			if err := m.store.save(ctx, m.state); err != nil {
				return err
			}
		}
		if rest := m.Settle - time.Since(quiet); rest > 0 {
			select {
			case <-time.After(min(rest, time.Second)):
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if pass.changes() == 0 {
			return m.store.save(ctx, m.state)
		}
	}
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
