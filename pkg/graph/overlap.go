package graph

import (
	"cmp"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// judgeOverlaps finds the listeners whose TLS configuration overlaps with that of another listener of their port, of whichever
// Gateway or ListenerSet of the scope: "This condition MUST be set on all Listeners with overlapping TLS config"
// (ListenerConditionOverlappingTLSConfig). Listeners that are not accepted have no TLS configuration to overlap.
func judgeOverlaps(listeners []*ListenerFacts) {
	ports := map[gwv1.PortNumber]*tlsPort{}
	for i, l := range listeners {
		if l.Unaccepted != nil || layer(l.Spec.Protocol) != behindTLS {
			continue
		}
		port := ports[l.Spec.Port]
		if port == nil {
			port = &tlsPort{hostnames: newNameIndex(wildcardsAbove), certificates: newNameIndex(wildcardOfLabel)}
			ports[l.Spec.Port] = port
		}
		port.listeners = append(port.listeners, rankedListener{l, i})
	}
	for _, port := range ports {
		port.judge()
	}
}

// tlsPort is what there is on a port behind TLS.
type tlsPort struct {
	listeners    []rankedListener
	hostnames    nameIndex
	certificates nameIndex
}

// rankedListener is a listener with its place in the order of precedence.
type rankedListener struct {
	*ListenerFacts
	rank int
}

func (p *tlsPort) judge() {
	for _, l := range p.listeners {
		p.hostnames.add(domain(l.Hostname), l)
		for _, name := range l.certificateNames() {
			p.certificates.add(name, l)
		}
	}
	for _, l := range p.listeners {
		// "If a controller supports checking for both possible reasons and finds that both are true, it SHOULD set the
		// OverlappingCertificates Reason."
		l.Overlapping = firstProblem(p.overlappingCertificates(l), p.overlappingHostnames(l))
	}
}

// overlappingHostnames: "Listener A matches *.example.com while Listener B matches foo.example.com."
func (p *tlsPort) overlappingHostnames(l rankedListener) *Problem {
	others := p.hostnames.sharing(l, domain(l.Hostname))
	if len(others) == 0 {
		return nil
	}
	return newProblem(gwv1.ListenerReasonOverlappingHostnames,
		"%s: %s overlaps with the hostnames of %s on port %d; a connection that a client reuses for another hostname meets the wrong TLS configuration",
		l.field("hostname"), domain(l.Hostname), describeOthers(l.ListenerFacts, others), l.Spec.Port)
}

// overlappingCertificates: "Listener A contains a certificate with a SAN for *.example.com, while Listener B contains a
// certificate with a SAN for foo.example.com."
func (p *tlsPort) overlappingCertificates(l rankedListener) *Problem {
	others := p.certificates.sharing(l, l.certificateNames()...)
	if len(others) == 0 {
		return nil
	}
	return newProblem(gwv1.ListenerReasonOverlappingCertificates,
		"%s: names of the certificates are also those of certificates of %s on port %d; a connection that a client reuses for another name meets the wrong listener",
		l.field("tls.certificateRefs"), describeOthers(l.ListenerFacts, others), l.Spec.Port)
}

// certificateNames are the names of all certificates of a listener, sorted.
func (l *ListenerFacts) certificateNames() []string {
	var names []string
	for i := range l.Certificates {
		names = append(names, l.Certificates[i].Names...)
	}
	return sorted(names, strings.Compare)
}

// nameIndex finds listeners that have a name, or a wildcard, that shares hosts with others.
type nameIndex struct {
	wildcards func(name string) []string // that cover a name and are something else
	same      map[string][]rankedListener
	under     map[string][]rankedListener // by wildcard
}

func newNameIndex(wildcards func(string) []string) nameIndex {
	return nameIndex{wildcards, map[string][]rankedListener{}, map[string][]rankedListener{}}
}

// add has to be called in the order of precedence.
func (ix nameIndex) add(name string, l rankedListener) {
	ix.same[name] = append(ix.same[name], l)
	for _, wildcard := range ix.wildcards(name) {
		ix.under[wildcard] = append(ix.under[wildcard], l)
	}
}

// sharing returns the listeners but l that share a host with one of the names, in the order of precedence; of many, no more
// than are named.
func (ix nameIndex) sharing(l rankedListener, names ...string) []*ListenerFacts {
	var found []rankedListener
	take := func(from []rankedListener) {
		taken := 0
		for _, o := range from {
			if o.rank != l.rank {
				found = append(found, o)
				taken++
			}
			if taken > maxNamed {
				return
			}
		}
	}
	for _, name := range names {
		take(ix.same[name])
		take(ix.under[name])
		for _, wildcard := range ix.wildcards(name) {
			take(ix.same[wildcard])
		}
	}
	var others []*ListenerFacts
	for _, o := range sorted(found, func(a, b rankedListener) int { return cmp.Compare(a.rank, b.rank) }) {
		others = append(others, o.ListenerFacts)
	}
	return others[:min(len(others), maxNamed+1)]
}

// wildcardOfLabel is the wildcard that covers a name in a certificate, where it stands for one label: "If the wildcard
// character is the only character of the left-most label in the presented identifier, the client SHOULD NOT compare against
// anything but the left-most label of the reference identifier" (RFC 6125, section 6.4.3).
func wildcardOfLabel(name string) []string {
	_, rest, more := strings.Cut(name, ".")
	if !more || strings.HasPrefix(name, "*.") {
		return nil
	}
	return []string{"*." + rest}
}

// maxNamed is how many other listeners, or those who have them, a message names.
const maxNamed = 8

// describeOthers names listeners other than l. Of those that stand elsewhere than l, no more is told than where:
// "Implementations SHOULD be cautious about what information from the parent or siblings are reported".
func describeOthers(l *ListenerFacts, others []*ListenerFacts) string {
	var names, elsewhere []string
	more := len(others) > maxNamed
	for _, o := range others[:min(len(others), maxNamed)] {
		if o.Key.Parent == l.Key.Parent {
			names = append(names, string(o.Key.Name))
		} else if parent := o.Key.Parent.String(); !slices.Contains(elsewhere, parent) {
			elsewhere = append(elsewhere, parent)
		}
	}
	switch len(names) {
	case 0:
	case 1:
		elsewhere = slices.Insert(elsewhere, 0, "listener "+names[0])
	default:
		elsewhere = slices.Insert(elsewhere, 0, "listeners "+strings.Join(names, ", "))
	}
	if more {
		elsewhere = append(elsewhere, "others")
	}
	return strings.Join(elsewhere, " and ")
}
