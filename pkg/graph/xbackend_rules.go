package graph

import (
	"iter"
	"reflect"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// ReasonInvalidBackend is the reason of ResolvedRefs for an XBackend that isn't accepted: the specification has none.
const ReasonInvalidBackend = "InvalidBackend"

// readXBackend finds out what an XBackend asks for, or what is wrong with it.
func (g *Graph) readXBackend(backend *gwxv1alpha1.XBackend) *xbackendNode {
	spec := &backend.Spec
	read := xbackendReading{port: int32(spec.Port.Port), protocol: valueOr(spec.Protocol, "")}
	if spec.ExternalHostname != nil {
		read.hostname = strings.TrimSuffix(string(spec.ExternalHostname.Hostname), ".")
	}
	read.unaccepted = firstProblem(
		unknownBackendType(spec),
		refusedHostname(spec),
		unknownProtocol(spec),
		unknownTLSMode(spec),
		cleartextOverTLS(spec),
	)
	if usesTLS(spec) {
		v := g.validateTLS(backendValidation(spec), backend.Namespace, "spec.tls.validation")
		certificate, problem := g.backendCertificate(backend)
		read.unaccepted = firstProblem(read.unaccepted, v.invalid, problem)
		read.unresolved = firstProblem(v.unresolved, problem)
		if read.unaccepted == nil {
			v.tls.ClientCertificate = certificate
			read.tls = v.tls
		}
	}
	return &xbackendNode{backend, read, g.xbackendNeeds(backend)}
}

func usesTLS(spec *gwxv1alpha1.BackendSpec) bool {
	return spec.TLS != nil && spec.TLS.Mode != gwxv1alpha1.BackendTLSModeNone
}

// backendValidation returns how the certificate of the server is validated: "ServerOnly enables TLS with server certificate
// verification", and "validation" is optional. Without it, the certificate has to be one for the hostname that is connected to, by a
// CA that the system trusts, as with any client.
func backendValidation(spec *gwxv1alpha1.BackendSpec) *gwv1.BackendTLSPolicyValidation {
	v := spec.TLS.Validation
	if isUnset(&v) {
		v.WellKnownCACertificates = new(gwv1.WellKnownCACertificatesSystem)
	}
	if v.Hostname == "" && spec.ExternalHostname != nil {
		v.Hostname = spec.ExternalHostname.Hostname
	}
	return &v
}

// isUnset says that nothing of a validation is set. Its Go type has no other way to say that there is none.
func isUnset(v *gwv1.BackendTLSPolicyValidation) bool { return reflect.ValueOf(v).Elem().IsZero() }

// backendCertificate resolves the certificate that the server is shown: "ClientAndServer enables mutual TLS". Without it, nothing
// connects. The certificate of the Gateway is for backends that don't say what they want: an XBackend does.
func (g *Graph) backendCertificate(backend *gwxv1alpha1.XBackend) (*CertificateFacts, *Problem) {
	const field = "spec.tls.clientCertificateRef"
	tls := backend.Spec.TLS
	if tls.Mode != gwxv1alpha1.BackendTLSModeClientAndServer {
		return nil, nil
	}
	if tls.ClientCertificateRef == nil {
		return nil, newProblem(gwv1.GatewayReasonInvalidClientCertificateRef, "%s: must be set with mode %s", field, tls.Mode)
	}
	c, problem := g.certificate(xbackendKey(namespacedName(backend)), *tls.ClientCertificateRef)
	if problem == nil {
		return &c, nil
	}
	if problem.Reason != string(gwv1.ListenerReasonRefNotPermitted) {
		problem.Reason = string(gwv1.GatewayReasonInvalidClientCertificateRef)
	}
	return nil, problem.in(field)
}

// xbackendReferences yields the ConfigMaps and the Secret that an XBackend refers to, permitted or not, each once.
func xbackendReferences(backend *gwxv1alpha1.XBackend) iter.Seq[Key] {
	var references []Key
	if usesTLS(&backend.Spec) {
		tls := backend.Spec.TLS
		references = authorityNeeds(&tls.Validation, backend.Namespace)
		if ref := tls.ClientCertificateRef; ref != nil && tls.Mode == gwxv1alpha1.BackendTLSModeClientAndServer {
			if target, known := secretOf(backend.Namespace, *ref); known {
				references = append(references, target)
			}
		}
	}
	return slices.Values(sorted(references, compareKeys))
}

// xbackendNeeds returns what an XBackend refers to and is permitted to.
func (g *Graph) xbackendNeeds(backend *gwxv1alpha1.XBackend) []Key {
	var needs []Key
	for target := range xbackendReferences(backend) {
		if g.permitted(KindBackend, backend.Namespace, target) {
			needs = append(needs, target)
		}
	}
	return needs
}

// unknownBackendType: type is a "unionDiscriminator", and says what else must be set.
func unknownBackendType(spec *gwxv1alpha1.BackendSpec) *Problem {
	switch {
	case spec.Type != gwxv1alpha1.BackendTypeExternalHostname:
		return newProblem(gwv1.PolicyReasonInvalid, "spec.type: %s is not known; use %s", spec.Type, gwxv1alpha1.BackendTypeExternalHostname)
	case spec.ExternalHostname == nil:
		return newProblem(gwv1.PolicyReasonInvalid, "spec.externalHostname must be set with type %s", spec.Type)
	}
	return nil
}

func unknownTLSMode(spec *gwxv1alpha1.BackendSpec) *Problem {
	modes := []gwxv1alpha1.BackendTLSMode{
		gwxv1alpha1.BackendTLSModeNone, gwxv1alpha1.BackendTLSModeServerOnly, gwxv1alpha1.BackendTLSModeClientAndServer,
	}
	if spec.TLS == nil || slices.Contains(modes, spec.TLS.Mode) {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "spec.tls.mode: %s is not known", spec.TLS.Mode)
}

// protocolRoutes are the kinds of routes of requests that can be sent by each protocol: gRPC is HTTP/2, and an HTTP version that
// is left open can be that. Streams are forwarded as they are, and say themselves what they are.
//
// "MCP indicates the Model Context Protocol", whose messages are the bodies of HTTP requests.
var protocolRoutes = map[gwxv1alpha1.BackendProtocol][]Kind{
	"":                                {KindHTTPRoute, KindGRPCRoute},
	gwxv1alpha1.BackendProtocolHTTP:   {KindHTTPRoute, KindGRPCRoute},
	gwxv1alpha1.BackendProtocolHTTP2:  {KindHTTPRoute, KindGRPCRoute},
	gwxv1alpha1.BackendProtocolH2C:    {KindHTTPRoute, KindGRPCRoute},
	gwxv1alpha1.BackendProtocolGRPC:   {KindHTTPRoute, KindGRPCRoute},
	gwxv1alpha1.BackendProtocolHTTP11: {KindHTTPRoute},
	gwxv1alpha1.BackendProtocolMCP:    {KindHTTPRoute},
	gwxv1alpha1.BackendProtocolTCP:    {},
}

func unknownProtocol(spec *gwxv1alpha1.BackendSpec) *Problem {
	if _, known := protocolRoutes[valueOr(spec.Protocol, "")]; known {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "spec.protocol: %s is not known", *spec.Protocol)
}

// isHTTP2 says whether an appProtocol of a Service's port, or the protocol of an XBackend, is HTTP/2 and nothing else.
func isHTTP2(protocol string) bool {
	http2 := []gwxv1alpha1.BackendProtocol{
		appProtocolH2C, "grpc", gwxv1alpha1.BackendProtocolHTTP2, gwxv1alpha1.BackendProtocolH2C, gwxv1alpha1.BackendProtocolGRPC,
	}
	return slices.Contains(http2, gwxv1alpha1.BackendProtocol(protocol))
}

// cleartextOverTLS: "H2C indicates HTTP/2 over cleartext (h2c)".
func cleartextOverTLS(spec *gwxv1alpha1.BackendSpec) *Problem {
	if !usesTLS(spec) || valueOr(spec.Protocol, "") != gwxv1alpha1.BackendProtocolH2C {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "spec.protocol: %s is HTTP/2 without TLS, and spec.tls.mode is %s; use %s, or mode %s",
		gwxv1alpha1.BackendProtocolH2C, spec.TLS.Mode, gwxv1alpha1.BackendProtocolHTTP2, gwxv1alpha1.BackendTLSModeNone)
}

// otherPort: "It refers to a resource that does not exist", here a port.
func otherPort(key BackendKey, port int32) *Problem {
	if key.Port == port {
		return nil
	}
	return newProblem(gwv1.RouteReasonBackendNotFound, "%s has no port %d; it has %d", key.Key, key.Port, port)
}

func invalidXBackend(target Key, read *xbackendReading) *Problem {
	if read.unaccepted == nil {
		return nil
	}
	return newProblem(ReasonInvalidBackend, "%s is not valid; its status says why", target)
}

// unsupportedXBackendProtocol: "If a Route is not able to send traffic to the backend using the specified protocol then the
// backend is considered invalid."
func unsupportedXBackendProtocol(route Kind, b BackendFacts) *Problem {
	if route == KindUDPRoute {
		return newProblem(gwv1.RouteReasonUnsupportedProtocol, "%s is connected to by TCP", b.Backend.Key)
	}
	_, reads := appProtocols[route]
	if !reads || slices.Contains(protocolRoutes[gwxv1alpha1.BackendProtocol(b.AppProtocol)], route) {
		return nil
	}
	var supported []string
	for protocol, routes := range protocolRoutes {
		if protocol != "" && slices.Contains(routes, route) {
			supported = append(supported, string(protocol))
		}
	}
	return newProblem(gwv1.RouteReasonUnsupportedProtocol, "%s has protocol %s, which %ss do not support; they support %s",
		b.Backend.Key, b.AppProtocol, route, strings.Join(sorted(supported, strings.Compare), ", "))
}

// keyForMesh: the private key that an XBackend shows would be with every sidecar that a route for it reaches. It is for Gateways
// only.
func keyForMesh(from origin, backend *gwxv1alpha1.XBackend) *Problem {
	if !from.mesh || backend.Spec.TLS == nil || backend.Spec.TLS.Mode != gwxv1alpha1.BackendTLSModeClientAndServer {
		return nil
	}
	return newProblem(ReasonInvalidBackend, "%s has a client certificate, whose private key is for Gateways only: a mesh would give it to every sidecar",
		xbackendKey(namespacedName(backend)))
}

// xbackendNeedsProxy: proxyless clients resolve no names of hosts that aren't theirs, and can't be told whom to trust.
func xbackendNeedsProxy(rule *RuleFacts, i int) *Problem {
	for j := range rule.Backends {
		if b := &rule.Backends[j]; b.Backend.Kind == KindBackend && b.Weight > 0 {
			return unsupportedValue("proxyless gRPC clients connect to no XBackends").in(ruleID{i, rule.Name}.field(backendRefField(j)))
		}
	}
	return nil
}

// xbackendWarnings: "ExternalHostname backends SHOULD have TLS configured; the lack of TLS for external hostnames should be
// considered insecure and a security risk."
func xbackendWarnings(spec *gwxv1alpha1.BackendSpec) []string {
	var warnings []string
	if valueOr(spec.Protocol, "") == gwxv1alpha1.BackendProtocolMCP {
		warnings = append(warnings, "spec.protocol: MCP is forwarded as the HTTP that carries it; its messages are not read")
	}
	switch tls := spec.TLS; {
	case tls == nil:
		warnings = append(warnings, "spec.tls is not set: what is sent can be read and changed on its way; if that is meant, set mode None")
	case tls.Mode == gwxv1alpha1.BackendTLSModeNone && !isUnset(&tls.Validation):
		warnings = append(warnings, "spec.tls.validation has no effect: spec.tls.mode is None")
	case usesTLS(spec) && isUnset(&tls.Validation):
		warnings = append(warnings, "spec.tls.validation is not set: the server needs a certificate for spec.externalHostname.hostname, "+
			"by a CA that the system of the Envoy trusts")
	}
	return warnings
}
