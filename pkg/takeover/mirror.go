package takeover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/transfer"
)

const (
	// parallel is how many objects are written at the same time.
	parallel = 16
	// listTries is how often a list is begun anew whose revision is compacted before its end is read.
	listTries = 5
)

// mirror makes the objects of one side those of another one.
type mirror struct {
	from, to   side
	lanes      lanes
	controller transfer.Controller
	uids       *uids
	// mirrored says, of an object of the target side that the source side doesn't have, that it had it once.
	mirrored func(target *object) bool
	// agreed says, of an object of the target side, that the source side was made as it is by a later move.
	agreed func(target *object) bool
	// served are the horizons beyond which clients wrote to the target side, in a move before.
	served map[string]horizon
	extra  Extra
	// sourceWins says which side is right about objects that both have changed; nil that the user has to say.
	sourceWins *bool
	dryRun     bool
	report     *reporter

	mu      sync.Mutex
	written map[string]bool // titles of what this run has written
}

// Extra says what to do with objects that are only on the side to which objects move, and were not moved there.
type Extra string

const (
	RefuseExtra Extra = "refuse"
	KeepExtra   Extra = "keep"
	DeleteExtra Extra = "delete"
)

// pass is one comparison of all objects, with what was done about their differences.
type pass struct {
	*mirror
	management *transfer.Management
	// settled is set when clients write to the target: then only what has changed beyond these horizons counts.
	settled map[string]horizon

	mu       sync.Mutex
	horizons map[string]horizon
	counts   map[action]int
	objects  int
	failed   int
}

// run compares all objects once. An object that fails doesn't stop the others; the error is of the pass as a whole.
func (m *mirror) run(ctx context.Context, settled map[string]horizon) (*pass, error) {
	p := &pass{
		mirror: m, settled: settled, horizons: map[string]horizon{}, counts: map[action]int{},
		management: transfer.NewManagement(m.controller, m.lookup),
	}
	for _, row := range m.lanes {
		owners, err := p.owners(ctx, row)
		if err != nil {
			return p, err
		}
		for _, l := range row {
			mine := func(key string) bool { return owners == nil || owners[key] == l || owners[key] == nil && l == row[0] }
			if err := p.lane(ctx, l, mine); err != nil {
				return p, err
			}
		}
	}
	return p, ctx.Err()
}

// changes is how many objects were not as they should be.
func (p *pass) changes() int {
	n := 0
	for _, count := range p.counts {
		n += count
	}
	return n
}

// lookup finds GatewayClasses and Gateways on the source side.
func (m *mirror) lookup(ctx context.Context, kind, namespace, name string) (*unstructured.Unstructured, error) {
	for _, l := range m.lanes.all() {
		if l.kind.Kind == kind {
			o, err := namespaced(m.from, l, namespace).Get(ctx, name, metav1.GetOptions{})
			if isGone(err) {
				return nil, nil
			}
			return o, explain(err)
		}
	}
	return nil, nil
}

// owners says, of a kind that has several CustomResourceDefinitions and is one kind of gateway-apiserver, which of these
// has an object, by its key. It is nil for other kinds.
func (p *pass) owners(ctx context.Context, row []*lane) (map[string]*lane, error) {
	if len(row) < 2 {
		return nil, nil
	}
	crds := p.from
	if p.from.keepsIdentity() {
		crds = p.to
	}
	owners := map[string]*lane{}
	for _, l := range row {
		for o, err := range list(ctx, crds, l, func(string) {}) {
			if err != nil {
				return nil, err
			}
			key := keyOf(o)
			if other := owners[key]; other != nil {
				p.fail(l.title(key), fmt.Errorf("gateway-apiserver stores this and %s as one object: delete or rename one of them", other.title(key)))
				continue
			}
			owners[key] = l
		}
	}
	return owners, nil
}

// lane compares the objects of a lane that are its own.
func (p *pass) lane(ctx context.Context, l *lane, mine func(key string) bool) error {
	var err error
	for range listTries {
		err = p.try(ctx, l, mine)
		if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return err
		}
	}
	return err
}

func (p *pass) try(ctx context.Context, l *lane, mine func(key string) bool) error {
	now := time.Now()
	reached := func(revision string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.horizons[l.crd] = horizon{Revision: revision, Time: now.Add(-clockSkew)}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var listing error
	for both, err := range join(list(groupCtx, p.from, l, reached), list(groupCtx, p.to, l, func(string) {})) {
		if err != nil {
			listing = err
			break
		}
		key := ""
		if both.source != nil {
			key = keyOf(both.source)
		} else {
			key = keyOf(both.target)
		}
		if !mine(key) {
			continue
		}
		group.Go(func() error { return p.object(groupCtx, l, key, both) })
	}
	if err := group.Wait(); err != nil {
		return err // and the lists have ended because of it
	}
	return listing
}

// clockSkew is by how much the clocks of this machine and of the servers may differ.
const clockSkew = 10 * time.Second

// object does what there is to do about an object. Its error is one that stops everything.
func (p *pass) object(ctx context.Context, l *lane, key string, both pair) error {
	title := l.title(key)
	m, s, err := p.situation(ctx, l, title, both)
	if err != nil {
		return err
	}
	var v verdict
	if p.settled != nil {
		v = after(s, p.settled[l.crd])
	} else {
		v = before(s)
	}
	if p.sourceWins != nil {
		v = settle(s, v, *p.sourceWins)
	}
	if v.action == extra && p.extra == DeleteExtra {
		v.action = remove
	}
	p.mu.Lock()
	p.objects++
	if v.action != nothing && v.action != extra {
		p.counts[v.action]++
	}
	p.mu.Unlock()
	return p.do(ctx, l, title, m, s, v)
}

// situation reads what a decision follows from, and how to write the object.
func (p *pass) situation(ctx context.Context, l *lane, title string, both pair) (*moving, situation, error) {
	m, s := &moving{}, situation{keepsIdentity: p.to.keepsIdentity(), served: p.served[l.crd]}
	about := both.source
	if about == nil {
		about = both.target
	}
	var err error
	if m.managed, err = p.management.Has(ctx, about); err != nil {
		return nil, s, err
	}
	if both.target != nil {
		s.target = p.read(both.target, p.to, m.managed)
		s.agreed = p.agreed(s.target)
	}
	if both.source == nil {
		s.mirrored = p.mirrored(s.target)
		return m, s, nil
	}
	s.source = p.read(both.source, p.from, m.managed)
	if s.target != nil {
		p.uids.set(s.source.GetUID(), s.target.GetUID())
	}
	s.want = p.to.want(l, s.source, s.target)
	p.mirror.mu.Lock()
	s.written = p.written[title]
	p.mirror.mu.Unlock()
	m.source, m.want = s.source, s.want
	m.record = record{
		UID: s.source.GetUID(), ResourceVersion: s.source.GetResourceVersion(), Source: s.source.parts(), Target: s.want.trace(s.keepsIdentity),
	}
	return m, s, nil
}

// read takes apart an object of a side.
func (p *pass) read(o *unstructured.Unstructured, of side, managed bool) *object {
	r := recordOf(o, of.annotation())
	if r != nil && of.keepsIdentity() && r.UID != o.GetUID() {
		r = nil // copied from another object
	}
	transfer.DropUnset(o)
	return &object{Unstructured: o, content: contentOf(o, p.controller.OthersStatus(o, managed)), record: r}
}

// do acts on a verdict.
func (p *pass) do(ctx context.Context, l *lane, title string, m *moving, s situation, v verdict) error {
	ctx, warnings := transfer.CollectWarnings(ctx)
	var uid types.UID
	var err error
	switch v.action {
	case nothing:
		return nil
	case extra:
		if p.extra == RefuseExtra {
			p.fail(title, fmt.Errorf("it is only in %s, and was not moved there: --extra=keep keeps it, and --extra=delete deletes it", p.to))
		}
		return nil
	case conflict:
		fields := slices.DeleteFunc(v.fields, func(field string) bool { return slices.Contains(bookkeeping, field) })
		if len(fields) > 0 {
			v.why += " (" + strings.Join(fields, ", ") + ")"
		}
		p.fail(title, errors.New(v.why+conflictAdvice(l, s, p.settled != nil)))
		return nil
	case unfaithful:
		p.fail(title, fmt.Errorf("it was written to %s and is not the same there (%s): change these fields, and run this again", p.to, strings.Join(v.fields, ", ")))
		return nil
	}
	if v.action == update && p.settled != nil {
		p.merge(l, m, s, v.keep)
	}
	if p.dryRun {
		err = p.tryOut(ctx, l, m, s, v)
	} else {
		uid, err = p.write(ctx, l, m, s, v.action)
	}
	if isFatal(ctx, err) {
		return err
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || s.target != nil && isGone(err) {
		return nil // somebody was quicker: the next pass sees what is there
	}
	if err != nil {
		p.fail(title, fmt.Errorf("%s: %s", v.action, advise(err, p.to)))
		return nil
	}
	p.report.warn(title, warnings.List())
	p.report.done(title, v, s)
	if s.source != nil && uid != "" {
		p.uids.set(s.source.GetUID(), uid)
	}
	p.mirror.mu.Lock()
	p.written[title] = true
	p.mirror.mu.Unlock()
	return nil
}

// merge has m write the source but for the parts of the target that are to be kept. Clients see the target meanwhile, so
// its generation only grows.
func (p *pass) merge(l *lane, m *moving, s situation, keep changes) {
	o, target := s.source.DeepCopy(), s.target.DeepCopy()
	metadata := o.Object["metadata"].(map[string]any)
	if keep.metadata {
		for _, field := range []string{"labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp"} {
			delete(metadata, field)
			if value, ok := target.Object["metadata"].(map[string]any)[field]; ok {
				metadata[field] = value
			}
		}
	}
	if keep.spec {
		for field := range s.source.Body {
			delete(o.Object, field)
		}
		for field := range s.target.Body {
			o.Object[field] = target.Object[field]
		}
	}
	status := s.source.Status
	if keep.status {
		status = s.target.Status
		delete(o.Object, "status")
		if value, ok := target.Object["status"]; ok {
			o.Object["status"] = value
		}
	}
	switch {
	case s.keepsIdentity:
		generation := target.GetGeneration()
		if !keep.spec && len(lacking("", s.source.Body, s.target.Body))+len(lacking("", s.target.Body, s.source.Body)) > 0 {
			generation++ // clients see another spec
		}
		o.SetGeneration(max(o.GetGeneration(), generation))
	case keep.status:
		o.SetGeneration(target.GetGeneration()) // which it has observed
	}
	if managers := latest(s.target.Managers, s.source.Managers); keep.managers && len(managers) > 0 {
		metadata["managedFields"] = managers
	}
	m.source = &object{Unstructured: o, content: contentOf(o, status)}
	m.want = p.to.want(l, m.source, s.target)
	m.record.Target, m.record.Kept = m.want.trace(s.keepsIdentity), keep.metadata || keep.spec
}

// write does it.
func (p *pass) write(ctx context.Context, l *lane, m *moving, s situation, a action) (types.UID, error) {
	switch a {
	case create:
		return p.to.create(ctx, l, m)
	case update:
		return p.to.update(ctx, l, m, s.target.Unstructured)
	case finish:
		return s.target.GetUID(), p.to.finish(ctx, l, m, s.target.Unstructured)
	case acknowledge:
		r := m.record
		r.Target, r.Kept = s.target.trace(s.keepsIdentity), true
		return s.target.GetUID(), p.to.record(ctx, l, s.target.Unstructured, r)
	}
	if err := p.to.remove(ctx, l, s.target.Unstructured); err != nil || a == remove {
		return "", err
	}
	return p.to.create(ctx, l, m)
}

// tryOut has the server try a create or an update. Others can't be tried.
func (p *pass) tryOut(ctx context.Context, l *lane, m *moving, s situation, v verdict) (err error) {
	switch v.action {
	case create:
		_, err = p.to.create(ctx, l, m)
	case update:
		_, err = p.to.update(ctx, l, m, s.target.Unstructured)
	}
	return err
}

// fail reports an object that can't be moved.
func (p *pass) fail(title string, err error) {
	p.mu.Lock()
	p.failed++
	p.mu.Unlock()
	p.report.fail(title, err)
}

// bookkeeping are the fields that follow from changes to others.
var bookkeeping = []string{"metadata.generation", "metadata.managedFields"}

// conflictAdvice says how to see both sides of a conflict, and how to end it. hidden says that clients see the new side.
func conflictAdvice(l *lane, s situation, hidden bool) string {
	o := s.source
	if o == nil {
		o = s.target
	}
	where := ""
	if l.namespaced {
		where = " -n " + o.GetNamespace()
	}
	if !hidden {
		return fmt.Sprintf(": if gateway-apiserver has the current objects, as after its APIServices were deleted, \"gateway-apiserver install --hide-objects\" and the flags that it had, without --register=false, registers it again as it is; --on-conflict=%s has takeover keep what gateway-apiserver has of such objects, and --on-conflict=%s what \"kubectl get%s %s %s -o yaml\" shows",
			UseServer, UseCRDs, where, l.storage.GroupResource(), o.GetName())
	}
	return fmt.Sprintf(": the CustomResourceDefinition has it as \"kubectl get%s %s.%s.%s %s -o yaml\" shows; --on-conflict=%s makes both as this one is, and --on-conflict=%s as gateway-apiserver has it",
		where, l.storage.Resource, sideDoor, l.storage.Group, o.GetName(), UseCRDs, UseServer)
}

// isFatal says whether an error concerns more than one object.
func isFatal(ctx context.Context, err error) bool {
	if err == nil {
		return false
	}
	if ctx.Err() != nil || errors.Is(err, errDoorShut) {
		return true
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true // no answer at all
	}
	return apierrors.IsUnauthorized(err)
}

// advise adds to an error of a server what to do about it.
func advise(err error, at side) string {
	message := strings.ReplaceAll(err.Error(), "\n", "; ")
	switch {
	case apierrors.IsBadRequest(err) && strings.Contains(message, "unknown field"):
		if at.keepsIdentity() {
			return message + ": this server is of an older release of the Gateway API than the object; remove the field, or use a newer gateway-apiserver"
		}
		return message + ": the CustomResourceDefinition is of an older release than the object, or of the standard channel; apply newer ones, or the experimental ones, or remove the field"
	case apierrors.IsInvalid(err) && !at.keepsIdentity():
		return message + ": change the object, or apply the CustomResourceDefinitions of a release that allows it"
	}
	return message
}
