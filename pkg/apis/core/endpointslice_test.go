package core_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func endpointSlice() *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  meta,
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"127.0.0.1"}}},
		Ports:       []discoveryv1.EndpointPort{{Port: new(int32(80))}, {Name: new("grpc"), Port: new(int32(90))}},
	}
}

func TestValidateEndpointSlice(t *testing.T) {
	t.Parallel()
	validate(t, "EndpointSlice", endpointSlice, map[string]validateCase[*discoveryv1.EndpointSlice]{
		"valid":                              {func(*discoveryv1.EndpointSlice) {}, ""},
		"an EndpointSlice has a type":        {func(s *discoveryv1.EndpointSlice) { s.AddressType = "" }, required + "addressType"},
		"a known one":                        {func(s *discoveryv1.EndpointSlice) { s.AddressType = "MAC" }, notSupported + "addressType"},
		"an endpoint has an address":         {func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = nil }, required + "endpoints[0].addresses"},
		"not over 1000 endpoints":            {func(s *discoveryv1.EndpointSlice) { s.Endpoints = slices.Repeat(s.Endpoints, 1001) }, tooMany + "endpoints"},
		"EndpointSlice ports differ in name": {func(s *discoveryv1.EndpointSlice) { s.Ports[1].Name = nil }, duplicate + "ports[1].name"},
		"EndpointSlice ports are in range":   {func(s *discoveryv1.EndpointSlice) { s.Ports[1].Port = new(int32(0)) }, invalid + "ports[1].port"},
		"EndpointSlice ports may be all":     {func(s *discoveryv1.EndpointSlice) { s.Ports[1].Port = nil }, ""},
		"an address is of the type": {func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0].Addresses = []string{"10.0.0.1", "::1", "a.b"}
		}, invalid + "endpoints[0].addresses[1]\n" + invalid + "endpoints[0].addresses[2]"},
		"an IPv6 address": {func(s *discoveryv1.EndpointSlice) {
			s.AddressType, s.Endpoints[0].Addresses = "IPv6", []string{"::1", "10.0.0.1", "fe80::1%eth0"}
		}, invalid + "endpoints[0].addresses[1]\n" + invalid + "endpoints[0].addresses[2]"},
		"a domain name": {func(s *discoveryv1.EndpointSlice) {
			s.AddressType, s.Endpoints[0].Addresses = "FQDN", []string{"a.example", "a"}
		}, invalid + "endpoints[0].addresses[1]"},
		"an endpoint can be there": {func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0].Addresses = []string{"0.0.0.0", "169.254.0.1", "224.0.0.1"}
		}, invalid + "endpoints[0].addresses[0]\n" + invalid + "endpoints[0].addresses[1]\n" + invalid + "endpoints[0].addresses[2]"},
		"at most 100 addresses": {func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0].Addresses = slices.Repeat([]string{"10.0.0.1"}, 101)
		}, tooMany + "endpoints[0].addresses"},
		"names of nodes and hosts": {func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0].NodeName, s.Endpoints[0].Hostname = new("a_b"), new("a.b")
		}, invalid + "endpoints[0].hostname\n" + invalid + "endpoints[0].nodeName"},
		"ports have a known protocol": {func(s *discoveryv1.EndpointSlice) {
			s.Ports[1].Protocol, s.Ports[1].AppProtocol = new(corev1.Protocol("x")), new("a b")
		}, invalid + "ports[1].appProtocol\n" + notSupported + "ports[1].protocol"},
	})
}
