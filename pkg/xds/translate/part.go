package translate

import (
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// A part is the requests of a rule that are treated alike, so that an Envoy route can take them, two where a path modifier
// needs it.
type part struct {
	token   *sessionToken // that the requests have; nil for all requests that are left
	share   share
	split   backendSplit
	effects effects // of the rule; and of the backend, if there is no more than one
}

// share is a part of all requests, between two numbers of millionths.
//
// For a request, Envoy draws one number and compares it with everything that is said in fractions: it is below the fraction of
// a route if the route matches, it chooses among the clusters of a route, and it decides about each mirror. So the fraction of
// a route that follows others includes theirs, and a fraction within a share is counted from where the share begins.
type share struct{ from, to uint32 }

const million = 1_000_000

var everything = share{0, million}

// end returns the fraction for a route whose predecessors take what is before the share; nil if it takes all that is left.
func (s share) end() *typev3.FractionalPercent {
	if s.to == million {
		return nil
	}
	return &typev3.FractionalPercent{Numerator: s.to, Denominator: typev3.FractionalPercent_MILLION}
}

// within returns the fraction of all requests that is the given number of millionths of a share, counted from its beginning.
func (s share) within(millionths uint32) *typev3.FractionalPercent {
	part := (uint64(millionths)*uint64(s.to-s.from) + million/2) / million
	return &typev3.FractionalPercent{Numerator: s.from + uint32(part), Denominator: typev3.FractionalPercent_MILLION}
}

// parts returns the parts of a rule's requests in the order in which they are to be tried: "a persistent session takes
// precedence over traffic split weights when selecting a backend", "even if the weight is set to 0" (GEP-1619). With a
// single backend, nothing has to be told apart.
func parts(r *rule) []part {
	all := split(r)
	if r.facts.Failing != nil || r.effects.redirect != nil || r.effects.auth.fails() {
		return []part{{share: everything, split: all, effects: r.effects}}
	}
	var out []part
	for _, b := range r.backends {
		known := func(p part) bool { return p.token.name == b.token.name }
		only := all.only()
		if b.token == nil || only != nil && only.Backend == b.Backend || slices.ContainsFunc(out, known) {
			continue
		}
		alone := *b.BackendFacts
		alone.Weight = 1
		b.BackendFacts = &alone
		out = append(out, r.partOf(everything, b.token, b))
	}
	return append(out, r.shares(all)...)
}

// shares returns the parts by weight: one, unless the filters of a backend need a route of its own. Then each backend has
// one, and so has the share of those that are invalid.
func (r *rule) shares(all backendSplit) []part {
	if b := all.only(); b != nil {
		return []part{r.partOf(everything, nil, *b)}
	}
	if !slices.ContainsFunc(all.valid, func(b backend) bool { return b.effects.needRoute() }) {
		return []part{{share: everything, split: all, effects: r.effects}}
	}
	var out []part
	var from uint32
	var weight, total uint64 = 0, uint64(all.weight) + uint64(all.invalid)
	next := func(w uint32) share {
		weight += uint64(w)
		s := share{from, uint32((weight*million + total/2) / total)}
		from = s.to
		return s
	}
	for _, b := range all.valid {
		if s := next(uint32(b.Weight)); s.from < s.to { // less than half a millionth is nothing
			out = append(out, r.partOf(s, nil, b))
		}
	}
	if s := next(all.invalid); s.from < s.to {
		out = append(out, part{share: s, split: backendSplit{invalid: all.invalid}, effects: r.effects})
	}
	return out
}

// partOf returns the part whose requests all go to one backend.
func (r *rule) partOf(s share, token *sessionToken, b backend) part {
	return part{token: token, share: s, split: backendSplit{valid: []backend{b}, weight: uint32(b.Weight)}, effects: r.effects.then(b.effects)}
}

// match narrows a match to the requests of a part.
func (p part) match(m *routev3.RouteMatch) *routev3.RouteMatch {
	if p.token != nil {
		m.Headers = append(m.Headers, p.token.matcher())
	}
	if end := p.share.end(); end != nil {
		m.RuntimeFraction = runtimeFraction(end)
	}
	return m
}
