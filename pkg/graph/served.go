package graph

import (
	"k8s.io/apimachinery/pkg/types"
)

// A servedListener is a listener with configuration.
type servedListener struct {
	key     ListenerKey
	gateway types.NamespacedName
	table   TableKey // of an HTTP or HTTPS listener; of others, the scope and the port
	layer   protocolLayer
	http    bool // HTTP or HTTPS
	domain  string
}

// servedListeners are the listeners of a scope that have configuration. Routes find theirs without looking at the others.
type servedListeners struct {
	list    []servedListener // in the order of precedence
	byKey   map[ListenerKey]*servedListener
	byTable map[TableKey]*servedListener   // but those that share a table
	byHost  map[servedHost]*servedListener // but those that have the whole port
}

// servedHost is what no two listeners that share a port have in common.
type servedHost struct {
	port   int32
	layer  protocolLayer
	domain string
}

// servedBy returns the listeners of a scope that have configuration.
func servedBy(scope Key, gateways []*GatewayFacts) servedListeners {
	s := servedListeners{
		byKey: map[ListenerKey]*servedListener{}, byTable: map[TableKey]*servedListener{}, byHost: map[servedHost]*servedListener{},
	}
	for _, f := range gateways {
		for _, l := range f.Listeners {
			if l.Unprogrammed == nil {
				s.list = append(s.list, newServedListener(scope, f, l))
			}
		}
	}
	for i := range s.list {
		l := &s.list[i]
		s.byKey[l.key] = l
		if l.table.Listener != "" {
			s.byTable[l.table] = l
		}
		if l.layer != wholePort {
			s.byHost[servedHost{l.table.Port, l.layer, l.domain}] = l
		}
	}
	return s
}

func newServedListener(scope Key, f *GatewayFacts, l *ListenerFacts) servedListener {
	s := servedListener{
		key:     l.Key,
		gateway: namespacedName(f.Object),
		table:   TableKey{Scope: scope, Port: l.Spec.Port},
		layer:   layer(l.Spec.Protocol),
		http:    l.readsHTTP(),
		domain:  domain(l.Hostname),
	}
	if s.layer != plainHTTP {
		s.table.Listener = TableName(scope, l.Key)
	}
	return s
}

// of returns the listener that the requests of a virtual host belong to.
func (s *servedListeners) of(key VirtualHostKey) *servedListener {
	if key.Table.Listener != "" {
		return s.byTable[key.Table]
	}
	return s.best(key.Table.Port, plainHTTP, key.Domain)
}

// best returns the listener of a port that requests or connections for a domain belong to, or nil: "inbound request
// hostnames MUST match from the most specific to least specific Hostname values to choose the correct Listener and its
// associated set of Routes."
func (s *servedListeners) best(port int32, in protocolLayer, domain string) *servedListener {
	if l := s.byHost[servedHost{port, in, domain}]; l != nil {
		return l
	}
	for _, wildcard := range wildcardsAbove(domain) {
		if l := s.byHost[servedHost{port, in, wildcard}]; l != nil {
			return l
		}
	}
	return nil
}
