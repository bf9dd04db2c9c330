package cache

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// picky is a client of listeners that rejects some responses, and changes what it subscribes to.
type picky struct {
	t        *testing.T
	rand     *rand.Rand
	wildcard bool
	names    map[string]bool
	has      map[string]string         // version by name, "" when it was told that there is none
	rejected map[string]map[string]int // versions by name, likewise, with the number of responses sent when the server heard of it
}

func newPicky(t *testing.T, r *rand.Rand, wildcard bool) *picky {
	return &picky{t: t, rand: r, wildcard: wildcard, names: map[string]bool{}, has: map[string]string{}, rejected: map[string]map[string]int{}}
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
		if got, ok := p.has[name]; (got != want[name] || !ok) && !p.rejects(name, want[name]) {
			p.t.Errorf("client has %s=%q, published is %q", name, got, want[name])
		}
	}
	for name, version := range p.has {
		if _, ok := want[name]; !ok && version != "" && !p.rejects(name, "") {
			p.t.Errorf("client still has %s=%q", name, version)
		}
	}
}

func (p *picky) rejects(name, version string) bool {
	_, ok := p.rejected[name][version]
	return ok
}

// take has the client accept or reject a version of a name, which was sent in the nth response.
func (p *picky) take(name, version string, n int, reject bool) {
	if since, ok := p.rejected[name][version]; version != "" && ok && n > since {
		p.t.Fatalf("rejected version of %s is sent again", name)
	}
	if !reject {
		delete(p.rejected[name], version)
		delete(p.rejected[name], "")
		p.has[name] = version
		return
	}
	if p.rejected[name] == nil {
		p.rejected[name] = map[string]int{}
	}
	if !p.rejects(name, version) {
		p.rejected[name][version] = math.MaxInt // until the server hears of it
	}
}

// heard notes that the server has heard of all rejections, after n responses.
func (p *picky) heard(n int) {
	for _, versions := range p.rejected {
		for version, since := range versions {
			versions[version] = min(since, n)
		}
	}
}

func number(nonce string) int {
	n, _ := strconv.Atoi(nonce)
	return n
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
			delete(p.rejected[name], "") // it is asked for anew
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
	reject := p.rand.IntN(3) == 0
	for _, r := range resp.GetResources() {
		if p.wildcard || p.names[r.GetName()] {
			p.take(r.GetName(), r.GetVersion(), number(resp.GetNonce()), reject)
		}
	}
	for _, name := range resp.GetRemovedResources() {
		if p.wildcard || p.names[name] {
			p.take(name, "", 0, reject)
		}
	}
	if reject {
		d.pump()
		p.heard(d.nonce)
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
			changes, responses, rejections := 1, 0, 0
			read := func() bool {
				resp := s.next()
				if resp == nil {
					return false
				}
				responses++
				last = resp
				reject := r.IntN(3) == 0
				if s.pump(""); reject && s.types[lds].nonce != resp.GetNonce() {
					s.nack(resp) // of which the next one lists everything again
					return true
				}
				told := map[string]string{}
				for name := range p.names {
					told[name] = ""
				}
				for name := range p.has { // a listener that is missing was removed
					told[name] = ""
				}
				for _, a := range resp.GetResources() {
					if name := nameOf(a); p.wildcard || p.names[name] {
						told[name] = NewResource(lds, name, a.GetValue()).Version()
					}
				}
				for name, version := range told {
					if had, ok := p.has[name]; !ok || had != version {
						p.take(name, version, number(resp.GetNonce()), reject)
					}
				}
				if reject {
					rejections++
					p.heard(s.nonce)
					s.nack(resp)
				} else {
					for name := range p.rejected {
						delete(p.rejected[name], "")
					}
					s.ack(resp)
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
						delete(p.rejected[name], "")
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
			if responses > changes+rejections {
				t.Errorf("%d responses to %d changes and %d rejections", responses, changes, rejections)
			}
		})
	}
}
