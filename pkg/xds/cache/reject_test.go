package cache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// picky is a client of listeners that rejects some responses, and changes what it subscribes to.
type picky struct {
	t        *testing.T
	rand     *rand.Rand
	wildcard bool
	names    map[string]bool
	has      map[string]string // version by name, "" when it was told that there is none
	rejected map[string]string // version by name, likewise
}

func newPicky(t *testing.T, r *rand.Rand, wildcard bool) *picky {
	return &picky{t: t, rand: r, wildcard: wildcard, names: map[string]bool{}, has: map[string]string{}, rejected: map[string]string{}}
}

// check compares with what is published, except for what was rejected last.
func (p *picky) check(c *Cache, absences bool) {
	p.t.Helper()
	want := map[string]string{}
	if !p.wildcard || absences {
		for name := range p.names {
			want[name] = ""
		}
	}
	for _, r := range c.Resources("s") {
		if p.wildcard || p.names[r.Name()] {
			want[r.Name()] = r.Version()
		}
	}
	for _, name := range names(want) {
		version, told := p.rejected[name]
		if got, ok := p.has[name]; (got != want[name] || !ok) && !(told && version == want[name]) {
			p.t.Errorf("client has %s=%q, published is %q", name, got, want[name])
		}
	}
	for name, version := range p.has {
		rejected, told := p.rejected[name]
		if _, ok := want[name]; !ok && version != "" && !(told && rejected == "") {
			p.t.Errorf("client still has %s=%q", name, version)
		}
	}
}

func randomListeners(r *rand.Rand) Update {
	var u Update
	for range 1 + r.IntN(3) {
		name := fmt.Sprint("l", r.IntN(6))
		if r.IntN(3) == 0 {
			u.Delete = append(u.Delete, Name{lds, name})
		} else {
			u.Set = append(u.Set, named(lds, name, fmt.Sprint(r.Int())))
		}
	}
	return u
}

func (p *picky) pick() (name string, add bool) {
	name = fmt.Sprint("l", p.rand.IntN(6))
	return name, !p.names[name]
}

func (p *picky) delta(d *deltaClient) {
	if p.rand.IntN(3) == 0 && !p.wildcard {
		name, add := p.pick()
		if add {
			p.names[name] = true
			delete(p.rejected, name) // it is asked for anew
			d.subscribe(lds, name)
		} else {
			delete(p.names, name)
			delete(p.has, name)
			d.unsubscribe(lds, name)
		}
		return
	}
	p.deltaRead(d)
}

func (p *picky) deltaRead(d *deltaClient) bool {
	resp := d.next()
	if resp == nil {
		return false
	}
	told := p.has
	reject := p.rand.IntN(3) == 0
	if reject {
		told = p.rejected
	}
	for _, r := range resp.GetResources() {
		if p.rejected[r.GetName()] == r.GetVersion() && p.wildcard {
			p.t.Fatalf("rejected version of %s is sent again", r.GetName())
		}
		delete(p.rejected, r.GetName())
		if p.wildcard || p.names[r.GetName()] {
			told[r.GetName()] = r.GetVersion()
		}
	}
	for _, name := range resp.GetRemovedResources() {
		delete(p.rejected, name)
		if p.wildcard || p.names[name] {
			told[name] = ""
		}
	}
	if reject {
		d.nack(resp)
	} else {
		d.ack(resp)
	}
	return true
}

func TestHistoryOfDeltaRejections(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 2))
			c := New()
			p := newPicky(t, r, seed%2 == 0)
			d := newDelta(t, c, "s")
			if p.wildcard {
				d.subscribe(lds)
			} else {
				p.names["l0"] = true
				d.subscribe(lds, "l0")
			}
			for range 200 {
				if r.IntN(3) == 0 {
					c.Publish("s", randomListeners(r))
				} else {
					p.delta(d)
				}
			}
			for p.deltaRead(d) {
			}
			p.check(c, true)
		})
	}
}

func TestHistoryOfStateRejections(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 3))
			c := New()
			p := newPicky(t, r, seed%2 == 0)
			s := newState(t, c, "s")
			var last *discoveryv3.DiscoveryResponse
			subscribed := func() []string { return names(p.names) }
			changes, responses := 1, 0
			read := func() bool {
				resp := s.next()
				if resp == nil {
					return false
				}
				responses++
				last = resp
				told := p.has
				reject := r.IntN(3) == 0
				clear(p.rejected)
				if reject {
					told = p.rejected
				}
				clear(told)
				for name := range p.names {
					told[name] = ""
				}
				for _, a := range resp.GetResources() {
					if name := nameOf(a); p.wildcard || p.names[name] {
						told[name] = NewResource(lds, name, a.GetValue()).Version()
					}
				}
				if reject {
					for name := range p.has { // a listener that is missing was removed
						if _, ok := told[name]; !ok {
							told[name] = ""
						}
					}
					s.send(&discoveryv3.DiscoveryRequest{TypeUrl: lds, ResourceNames: subscribed(), ResponseNonce: resp.GetNonce()})
				} else {
					s.subscribe(lds, resp, subscribed()...)
				}
				return true
			}
			if !p.wildcard {
				p.names["l0"] = true
			}
			s.subscribe(lds, nil, subscribed()...)
			for range 200 {
				switch {
				case r.IntN(3) == 0:
					changes++
					c.Publish("s", randomListeners(r))
				case r.IntN(3) == 0 && !p.wildcard:
					name, add := p.pick()
					if add {
						p.names[name] = true
					} else if len(p.names) > 1 {
						delete(p.names, name)
						delete(p.has, name)
					}
					changes++
					s.subscribe(lds, last, subscribed()...)
				default:
					read()
				}
			}
			for read() {
			}
			// A rejected response says nothing of the names that the client has asked for since.
			for name := range p.rejected {
				if !p.wildcard && !slices.Contains(subscribed(), name) {
					delete(p.rejected, name)
				}
			}
			p.check(c, true)
			if responses > changes {
				t.Errorf("%d responses to %d changes", responses, changes)
			}
		})
	}
}
