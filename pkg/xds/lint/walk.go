package lint

import (
	"errors"
	"fmt"
	"regexp"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// walk looks at all messages of a resource, those in Anys included.
type walk struct {
	*check
	resource string
	// table is the name of the resource if it is a RouteConfiguration.
	table string
	// proxyless: the resource is for gRPC clients, older ones of which know nothing but what Envoy has deprecated since.
	proxyless bool
}

func (w *walk) add(rule Rule, path, format string, args ...any) {
	w.findings = append(w.findings, Finding{rule, w.resource, path, fmt.Sprintf(format, args...)})
}

func (w *walk) message(m proto.Message) {
	// The function never returns an error, and Anys that can't be resolved are not ranged over.
	_ = protorange.Range(m.ProtoReflect(), func(values protopath.Values) error {
		last := values.Index(-1)
		message, ok := last.Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		path := values.Path[1:].String()
		if kind := last.Step.Kind(); kind == protopath.RootStep || kind == protopath.AnyExpandStep {
			w.validate(path, message.Interface())
		}
		w.deprecated(path, message)
		w.rules(path, message.Interface())
		return nil
	})
}

// rules holds the rules about single messages.
func (w *walk) rules(path string, m proto.Message) {
	switch m := m.(type) {
	case *anypb.Any:
		if _, err := m.UnmarshalNew(); err != nil {
			w.add(UnknownType, path, "%s: %v", m.GetTypeUrl(), err)
		}
	case *matcherv3.RegexMatcher:
		if _, err := regexp.Compile(m.GetRegex()); err != nil {
			w.add(BadRegex, path+".regex", "%v", err)
		}
	case *matcherv3.RegexMatchAndSubstitute:
		w.substitution(path, m)
	case *routev3.RouteConfiguration:
		w.domains(path, m)
	case *routev3.VirtualHost:
		w.unreachable(path, m)
	case *routev3.RouteAction:
		w.rewrites(path, m)
	case *routev3.WeightedCluster:
		w.weights(path, m)
	case *routev3.RouteAction_RequestMirrorPolicy:
		if (m.GetCluster() == "") == (m.GetClusterHeader() == "") {
			w.add(Invalid, path, "one of cluster and cluster_header must be set, and not both")
		}
	case *routev3.RetryPolicy:
		w.retries(path, m)
	case *corev3.HeaderValueOption:
		w.header(path, m)
	case *listenerv3.Listener:
		w.filterChains(path, m)
	case *listenerv3.FilterChain:
		w.networkFilters(path, m)
	case *hcmv3.HttpConnectionManager:
		w.httpFilters(path, m)
	case *clusterv3.Cluster:
		w.cluster(path, m)
	case *endpointv3.ClusterLoadAssignment:
		w.assignment(path, m)
	case *tlsv3.DownstreamTlsContext:
		w.serverCertificates(path+".common_tls_context", m.GetCommonTlsContext())
	case *tlsv3.CommonTlsContext:
		w.validationContext(path+".validation_context", m.GetValidationContext())
	case *tlsv3.Secret:
		w.validationContext(path+".validation_context", m.GetValidationContext())
	case *tlsv3.TlsCertificate:
		w.certificate(path, m)
	}
	if m, ok := m.(level); ok {
		w.level(path, m)
	}
	w.collect(path, m)
}

// validate holds Envoy's own rules about the values of fields, which are generated for each message.
func (w *walk) validate(path string, m proto.Message) {
	v, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return
	}
	err := v.ValidateAll()
	if err == nil {
		return
	}
	var all interface{ AllErrors() []error }
	if !errors.As(err, &all) {
		w.add(Invalid, path, "%v", err)
		return
	}
	for _, err := range all.AllErrors() {
		w.add(Invalid, path, "%v", err)
	}
}

// deprecated finds fields that are set, and enum values that are used, against the advice of Envoy's API.
func (w *walk) deprecated(path string, m protoreflect.Message) {
	if w.proxyless {
		return
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Options().(*descriptorpb.FieldOptions).GetDeprecated() {
			w.add(Deprecated, path+"."+string(field.Name()), "the field is deprecated")
		}
		if field.Enum() != nil && !field.IsList() && !field.IsMap() {
			v := field.Enum().Values().ByNumber(value.Enum())
			if v != nil && v.Options().(*descriptorpb.EnumValueOptions).GetDeprecated() {
				w.add(Deprecated, path+"."+string(field.Name()), "%s is deprecated", v.Name())
			}
		}
		return true
	})
}
