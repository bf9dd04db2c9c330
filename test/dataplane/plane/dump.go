package plane

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads"
)

// configDump is the answer to /config_dump.
type configDump struct {
	Listeners []resourceDump
	Routes    []resourceDump
	Clusters  []resourceDump
	Endpoints []resourceDump
	Secrets   []resourceDump
	// Rejected has what the last response of a type was rejected for, if it was.
	Rejected map[string]string
}

// resourceDump is a resource in a dump.
type resourceDump struct {
	Name    string
	Version string `json:",omitempty"`
	// State is active, warming or draining, or for what is asked for by name: used, missing or awaited.
	State string
	// Addresses are those that a listener is bound to.
	Addresses []netip.AddrPort `json:",omitempty"`
	// Awaits is what a resource that is warming still needs.
	Awaits []string        `json:",omitempty"`
	Config json.RawMessage `json:",omitempty"`
}

func (p *Plane) dump() configDump {
	d := configDump{
		Clusters: p.dumpClusters(true), Routes: p.routes.dump(), Secrets: p.secrets.dump(),
		Rejected: maps.Clone(p.rejected),
	}
	for _, name := range slices.Sorted(maps.Keys(p.endpoints)) {
		d.Endpoints = append(d.Endpoints, resourceDump{Name: name, State: "used", Config: encoded(p.endpoints[name])})
	}
	listeners := func(state string, l *served) {
		r := resourceDump{Name: l.config.GetName(), Version: l.version, State: state, Addresses: l.listener.Addrs(), Config: encoded(l.config)}
		if state == "warming" {
			r.Awaits = slices.Concat(p.routes.awaited("routes", l.listener.RouteNames()), p.secrets.awaited("secret", l.listener.SecretNames()))
		}
		d.Listeners = append(d.Listeners, r)
	}
	for _, l := range p.listeners.active {
		listeners("active", l)
	}
	for _, l := range p.listeners.warming {
		listeners("warming", l)
	}
	for _, l := range p.listeners.draining {
		listeners("draining", l)
	}
	sortDump(d.Listeners)
	return d
}

func (p *Plane) dumpClusters(config bool) []resourceDump {
	var out []resourceDump
	clusters := func(state string, c *cluster) {
		r := resourceDump{Name: c.config.GetName(), Version: c.version, State: state}
		if config {
			r.Config = encoded(c.config)
		}
		if state == "warming" && !c.discovered {
			r.Awaits = []string{"hosts " + c.upstream.EDSName()}
		} else if state == "warming" {
			r.Awaits = p.secrets.awaited("secret", c.upstream.SecretNames())
		}
		out = append(out, r)
	}
	for _, c := range p.clusters.active {
		clusters("active", c)
	}
	for _, c := range p.clusters.warming {
		clusters("warming", c)
	}
	sortDump(out)
	return out
}

func sortDump(rs []resourceDump) {
	slices.SortFunc(rs, func(a, b resourceDump) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.State, b.State), cmp.Compare(a.Version, b.Version))
	})
}

func (ws watches) dump() []resourceDump {
	var out []resourceDump
	for _, name := range slices.Sorted(maps.Keys(ws)) {
		r := resourceDump{Name: name, Version: ws[name].version, State: "awaited"}
		switch w := ws[name]; {
		case w.message != nil:
			r.State, r.Config = "used", encoded(w.message)
		case w.settled:
			r.State = "missing"
		}
		out = append(out, r)
	}
	return out
}

// awaited lists those of the names that aren't settled.
func (ws watches) awaited(what string, names []string) []string {
	var out []string
	for _, name := range names {
		if !ws.ready([]string{name}) {
			out = append(out, what+" "+name)
		}
	}
	return out
}

// judge notes why a response was rejected, or that the last one of its type wasn't.
func (p *Plane) judge(typeURL string, err error) {
	delete(p.rejected, ads.TypeName(typeURL))
	if err != nil {
		p.rejected[ads.TypeName(typeURL)] = err.Error()
	}
}

// encoded returns a message as JSON, without private keys.
func encoded(m proto.Message) json.RawMessage {
	m = proto.Clone(m)
	err := protorange.Range(m.ProtoReflect(), func(path protopath.Values) error {
		if message, ok := path.Index(-1).Value.Interface().(protoreflect.Message); ok {
			if c, ok := message.Interface().(*tlsv3.TlsCertificate); ok {
				c.PrivateKey = redacted(c.GetPrivateKey())
				c.Password = redacted(c.GetPassword())
			}
		}
		return nil
	})
	data, encodeErr := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err = cmp.Or(err, encodeErr); err != nil {
		data, _ = json.Marshal(err.Error()) // a string always can be
	}
	return data
}

func redacted(source *corev3.DataSource) *corev3.DataSource {
	if source == nil {
		return nil
	}
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: strings.Repeat("*", 8)}}
}
