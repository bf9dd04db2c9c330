package verdict

import (
	"errors"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// TestLead: the leader removes what nobody else will.
func TestLead(t *testing.T) {
	t.Parallel()
	author := newReplica(t, prefixOf(t), nil).run()
	idle, published := rejected("idle", "2", routes("r", "1")), rejected("published", "2", routes("r", "1"))
	author.reject(idle, "one")
	author.reject(published, "one")
	author.await("both", has(idle, published))
	author.stop()
	for _, orphan := range []string{"gone/x/0", "gone/x/1", id(published) + "/x/0", "not/ours"} {
		if _, err := author.client.Put(t.Context(), author.chunks+orphan, "?"); err != nil {
			t.Fatal(err)
		}
	}

	follower, leader := newReplica(t, prefixOf(t), nil).run(), newReplica(t, prefixOf(t), nil).run()
	leader.publishes(published.Scope, published.Name, published.Version)
	if records := follower.Records(); len(records) != 2 {
		t.Fatalf("a follower has removed some: %v", records)
	}
	leader.lead()
	follower.await("what is published", has(published))
	until(t, "garbage stays, or what isn't", func() bool {
		left := keys(t, leader.client, prefixOf(t))
		return left["records"] == 1 && left["chunks"] == 2 // of the record, and what isn't ours
	})
	again := newReplica(t, prefixOf(t), nil).run()
	if version, _ := again.goodOf(published); version == "" {
		t.Error("the good version of a record was taken for garbage")
	}
}

// A version that is published again, before the leader has lost its patience, keeps its record.
func TestLeadIsPatient(t *testing.T) {
	t.Parallel()
	a := newReplica(t, prefixOf(t), nil)
	r := rejected("r", "2", nil)
	a.entries[id(r)] = &entry{stored: &stored{Scope: r.Scope, Type: r.Name.TypeURL, Name: r.Name.Name, Version: r.Version}, created: 1}
	now := a.swept
	for range 10 {
		for _, version := range []string{"", r.Version} {
			a.publishes(r.Scope, r.Name, version)
			now = now.Add(a.pace.forget * 2 / 3)
			if err := a.removeIdle(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			if idle := a.entries[id(r)].idle; idle.IsZero() != (version != "") {
				t.Fatalf("idle since %v when %q is published", idle, version)
			}
		}
	}
}

// TestLeadBehind: a leader that doesn't publish a version removes no record that another replica publishes.
func TestLeadBehind(t *testing.T) {
	t.Parallel()
	follower, leader := newReplica(t, prefixOf(t), nil), newReplica(t, prefixOf(t), nil)
	published, idle := rejected("published", "2", routes("r", "1")), rejected("idle", "2", nil)
	for _, r := range []cache.Rejection{published, idle} {
		r := &stored{Scope: r.Scope, Type: r.Name.TypeURL, Name: r.Name.Name, Version: r.Version}
		if _, err := leader.client.Put(t.Context(), leader.records+r.id(), string(r.encode())); err != nil {
			t.Fatal(err)
		}
	}
	follower.publishes(published.Scope, published.Name, published.Version)
	now := time.Now()
	// round has everybody read what there is, and then do what there is to do, when so much time has passed.
	round := func(passed time.Duration) {
		t.Helper()
		now = now.Add(passed)
		for _, r := range []*replica{follower, leader} {
			if err := r.list(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(follower.confirm(t.Context()), leader.removeIdle(t.Context(), now)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		round(0)                      // not published
		round(leader.pace.forget)     // doubted
		round(leader.pace.forget / 2) // confirmed
		round(leader.pace.forget / 2) // and removed, if it isn't
		if round(0); leader.entries[id(published)] == nil || leader.entries[id(idle)] != nil {
			t.Fatalf("there are %v", leader.Records())
		}
	}
	if leader.entries[id(published)].created != follower.entries[id(published)].created || leader.entries[id(published)].modified == leader.entries[id(published)].created {
		t.Error("nobody has doubted it")
	}
	follower.publishes(published.Scope, published.Name, "3")
	for range 8 {
		round(leader.pace.forget / 2)
	}
	if len(leader.entries) > 0 {
		t.Errorf("what nobody publishes stays: %v", leader.Records())
	}
}

var _ Cache = (*cache.Cache)(nil)
