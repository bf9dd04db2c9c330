package graph

import (
	"net/netip"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// refusedNames are names, with all names below them, of hosts that an Envoy trusts, or that trust it, more than those who write
// XBackends: through them one could reach the administration of the Envoy, the cloud's credentials of its machine, and Services
// that no ReferenceGrant allows to refer to (CVE-2021-32783, CVE-2025-24030, CVE-2021-25740).
var refusedNames = map[string]string{
	"localhost":             "is the host of the Envoy itself", // RFC 6761
	"localhost.localdomain": "is the host of the Envoy itself",
	"ip6-localhost":         "is the host of the Envoy itself",
	"ip6-loopback":          "is the host of the Envoy itself",

	"host.docker.internal":     "is the machine that the Envoy runs on",
	"gateway.docker.internal":  "is the machine that the Envoy runs on",
	"host.containers.internal": "is the machine that the Envoy runs on",
	"host.minikube.internal":   "is the machine that the Envoy runs on",

	"metadata.google.internal":   "is the metadata service of a cloud",
	"metadata.goog":              "is the metadata service of a cloud",
	"instance-data.ec2.internal": "is the metadata service of a cloud",
	"metadata.tencentyun.com":    "is the metadata service of a cloud",
	"metadata.packet.net":        "is the metadata service of a cloud",

	// "Implementations that are aware of custom trust domains being used for Service FQDNs MUST also enforce that hostnames
	// ending with those trust domains (e.g. .cluster.local) are not allowed."
	"cluster.local": "is inside of the cluster; refer to a Service instead",
	"svc":           "is inside of the cluster; refer to a Service instead",
}

// refusedHostname says why the hostname of an XBackend can't be a destination: "IP addresses are not allowed in this field", nor
// is what isn't an "FQDN used to reach this backend", nor any of refusedNames.
//
// What a name resolves to is known to the Envoys only, and to whoever owns the name. So this keeps mistakes and the simplest
// attacks away; what else Envoys mustn't reach is for the network to say (GEP-4488 calls it the DNS trust model).
func refusedHostname(spec *gwxv1alpha1.BackendSpec) *Problem {
	if spec.ExternalHostname == nil {
		return nil
	}
	hostname := string(spec.ExternalHostname.Hostname)
	why := whyRefused(strings.ToLower(strings.TrimSuffix(hostname, ".")))
	if why == "" {
		return nil
	}
	return newProblem(gwv1.PolicyReasonInvalid, "spec.externalHostname.hostname: %s %s", hostname, why)
}

// whyRefused returns the rest of a sentence about a name in lower case; empty if it isn't refused.
func whyRefused(name string) string {
	if isAddress(name) {
		return "is an address, not a name"
	}
	for parent := name; parent != ""; _, parent, _ = strings.Cut(parent, ".") {
		if why := refusedNames[parent]; why != "" {
			return why
		}
	}
	if !strings.Contains(name, ".") {
		return "is not a fully qualified name"
	}
	return ""
}

// isAddress says whether resolvers take a name for an address: also the forms that inet_aton(3) reads, such as 127.1 and
// 0x7f000001. No top-level domain is a number.
func isAddress(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	return last != "" && strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x")
}
