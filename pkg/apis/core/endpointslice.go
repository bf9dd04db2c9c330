package core

import (
	"net/netip"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var addressTypes = sets.New(discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)

const (
	maxEndpoints = 1000
	maxPorts     = 20000
	maxAddresses = 100
)

func validateEndpointSlice(slice *discoveryv1.EndpointSlice) field.ErrorList {
	var errs field.ErrorList
	switch path := field.NewPath("addressType"); {
	case slice.AddressType == "":
		errs = append(errs, field.Required(path, ""))
	case !addressTypes.Has(slice.AddressType):
		errs = append(errs, field.NotSupported(path, slice.AddressType, sets.List(addressTypes)))
	}
	errs = append(errs, validateEndpoints(slice.Endpoints, slice.AddressType, field.NewPath("endpoints"))...)
	return append(errs, validateEndpointPorts(slice.Ports, field.NewPath("ports"))...)
}

func validateEndpointSliceChange(slice, old *discoveryv1.EndpointSlice) field.ErrorList {
	return validation.ValidateImmutableField(slice.AddressType, old.AddressType, field.NewPath("addressType"))
}

func validateEndpoints(endpoints []discoveryv1.Endpoint, addressType discoveryv1.AddressType, path *field.Path) field.ErrorList {
	if len(endpoints) > maxEndpoints {
		return field.ErrorList{field.TooMany(path, len(endpoints), maxEndpoints)}
	}
	var errs field.ErrorList
	for i := range endpoints {
		endpoint, path := &endpoints[i], path.Index(i)
		addresses := path.Child("addresses")
		switch {
		case len(endpoint.Addresses) == 0:
			errs = append(errs, field.Required(addresses, "must contain at least 1 address"))
		case len(endpoint.Addresses) > maxAddresses:
			errs = append(errs, field.TooMany(addresses, len(endpoint.Addresses), maxAddresses))
		}
		for j, address := range endpoint.Addresses {
			errs = append(errs, validateAddress(address, addressType, addresses.Index(j))...)
		}
		if name := endpoint.NodeName; name != nil {
			errs = append(errs, each(path.Child("nodeName"), *name, utilvalidation.IsDNS1123Subdomain(*name))...)
		}
		if name := endpoint.Hostname; name != nil {
			errs = append(errs, each(path.Child("hostname"), *name, utilvalidation.IsDNS1123Label(*name))...)
		}
	}
	return errs
}

func validateAddress(address string, addressType discoveryv1.AddressType, path *field.Path) field.ErrorList {
	if addressType == discoveryv1.AddressTypeFQDN {
		return utilvalidation.IsFullyQualifiedDomainName(path, address)
	}
	ip, err := netip.ParseAddr(address)
	valid := err == nil && ip.Zone() == "" && !ip.Is4In6()
	switch {
	case addressType == discoveryv1.AddressTypeIPv4 && !(valid && ip.Is4()):
		return field.ErrorList{field.Invalid(path, address, "must be a valid IPv4 address")}
	case addressType == discoveryv1.AddressTypeIPv6 && !(valid && ip.Is6()):
		return field.ErrorList{field.Invalid(path, address, "must be a valid IPv6 address")}
	case !valid:
		return nil // the type is wrong, and that is an error already
	}
	return validateReachable(ip, path)
}

// validateReachable refuses addresses at which there is no endpoint. kube-apiserver also refuses loopback addresses,
// because they would lead from the node to its own services. Without a cluster there is no node, and a backend on the
// loopback address is what one runs beside an Envoy on the same machine.
func validateReachable(ip netip.Addr, path *field.Path) field.ErrorList {
	var reason string
	switch {
	case ip.IsUnspecified():
		reason = "may not be unspecified (0.0.0.0 or ::)"
	case ip.IsLinkLocalUnicast():
		reason = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
	case ip.IsLinkLocalMulticast():
		reason = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(path, ip.String(), reason)}
}

func validateEndpointPorts(ports []discoveryv1.EndpointPort, path *field.Path) field.ErrorList {
	if len(ports) > maxPorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxPorts)}
	}
	var errs field.ErrorList
	names := sets.Set[string]{}
	for i := range ports {
		port, path := &ports[i], path.Index(i)
		if port.Name != nil && *port.Name != "" {
			errs = append(errs, each(path.Child("name"), *port.Name, utilvalidation.IsDNS1123Label(*port.Name))...)
		}
		if port.Name != nil {
			if names.Has(*port.Name) {
				errs = append(errs, field.Duplicate(path.Child("name"), *port.Name))
			}
			names.Insert(*port.Name)
		}
		if port.Protocol != nil && !protocols.Has(*port.Protocol) {
			errs = append(errs, field.NotSupported(path.Child("protocol"), *port.Protocol, sets.List(protocols)))
		}
		if port.Port != nil {
			errs = append(errs, each(path.Child("port"), *port.Port, utilvalidation.IsValidPortNum(int(*port.Port)))...)
		}
		if port.AppProtocol != nil {
			errs = append(errs, each(path.Child("appProtocol"), *port.AppProtocol, utilvalidation.IsQualifiedName(*port.AppProtocol))...)
		}
	}
	return errs
}
