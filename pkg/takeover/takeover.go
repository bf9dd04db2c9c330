package takeover

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

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
	mirror.agreed = func(o *object) bool {
		return m.state.HandedBack != nil && !o.written().After(*m.state.HandedBack)
	}
	mirror.served = m.state.Served
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
	m.state = state{Direction: toServer, Phase: done, TakenOver: true, Served: m.state.Horizons}
	if err := m.leave(ctx); err != nil {
		return err
	}
	m.report.line("gateway-apiserver serves the Gateway API. The objects of the CustomResourceDefinitions stay as they were, and nobody sees them")
	m.report.line("next: \"gateway-apiserver install\" with the flags that it had, but without --register=false, makes the GatewayClass %s", install.Name)
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
	mirror.agreed = func(*object) bool { return true } // clients don't see the target side
	if ours == allOurs || !interrupted {
		if err := errors.Join(m.refuseHomeless(ctx), m.refuseEmpty(ctx), m.tellKept(ctx)); err != nil {
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
	if err := m.warnOfRevisions(ctx); err != nil {
		return err
	}
	m.state = state{Direction: toCRDs, Phase: done, HandedBack: new(time.Now())}
	if err := m.leave(ctx); err != nil {
		return err
	}
	m.report.line("the CustomResourceDefinitions serve the Gateway API. gateway-apiserver has its copies until \"gateway-apiserver uninstall\", which also ends the watches that are still open there")
	return nil
}

// warnOfRevisions warns if informers can be deaf now: they go on watching from gateway-apiserver's resource version, which
// kube-apiserver takes for one to come, without a word.
func (m *mover) warnOfRevisions(ctx context.Context) error {
	if len(m.lanes) == 0 {
		return nil
	}
	l := m.lanes[0][0] // one revision is that of all kinds
	var revisions []uint64
	for _, s := range []side{m.server, m.crds} {
		page, err := s.resource(l).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return fmt.Errorf("listing %s of %s: %w", l.storage.GroupResource(), s, explain(err))
		}
		revision, err := strconv.ParseUint(page.GetResourceVersion(), 10, 64)
		if err != nil {
			return nil // not comparable
		}
		revisions = append(revisions, revision)
	}
	if revisions[0] > revisions[1] {
		m.report.line("warning: gateway-apiserver is at resource version %d, and kube-apiserver at %d: restart controllers that watch the Gateway API, which may wait until it gets there", revisions[0], revisions[1])
	}
	return nil
}
