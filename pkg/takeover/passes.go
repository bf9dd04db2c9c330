package takeover

import (
	"context"
	"fmt"
	"time"
)

// minPasses is how many passes are made, at least, before the APIServices change while clients go on writing. When there is
// as much to do in a pass as in the one before, there is no point in another one: the rest is caught up afterwards.
const minPasses = 3

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
	begun := m.state
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
		if pass.counts[conflict] > 0 {
			m.state = begun // the server may be registered again instead
			if err := m.leave(ctx); err != nil {
				return err
			}
		}
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
	if m.direction == toServer {
		m.state.Served, m.state.HandedBack = m.state.Horizons, nil
	}
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

// catchUp brings to the new side what was written to the old one until all clients were asking the new one, and ends when
// nothing has been for a while.
func (m *mover) catchUp(ctx context.Context, mirror *mirror) error {
	// Open watches of the CustomResourceDefinitions end when these change. Clients open them anew where the objects are.
	if err := m.open(ctx, "catching up"); err != nil {
		return err
	}
	if m.state.Horizons == nil && m.direction == toServer {
		m.state.Horizons = m.state.Served // registered again without a move
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
