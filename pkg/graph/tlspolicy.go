package graph

import (
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A BackendTLSPolicy rules the connections to ports of Services, whoever connects: "This is unconditional to the type of
// traffic the gateway client is forwarding" (GEP-1897). Only Services are targets: "Backend resources are
// explicitly disallowed as targets for BackendTLSPolicy to avoid confusion and conflicts" (GEP-4488). Proxyless gRPC clients cannot be told
// whom to trust, so that a port with a policy isn't served to them; see proxyless.go.

type tlsPolicyNode struct {
	object     *gwv1.BackendTLSPolicy
	validation tlsValidation
}

// BackendTLSPolicy returns what is true of the policy, or nil if there is no such policy.
func (g *Graph) BackendTLSPolicy(name types.NamespacedName) *BackendTLSPolicyFacts {
	node := g.tlsPolicies[name]
	if node == nil {
		return nil
	}
	return g.evalTLSPolicy(node)
}

// PreviewBackendTLSPolicy returns what would be true of policy if it were written now. Nothing changes.
func (g *Graph) PreviewBackendTLSPolicy(policy *gwv1.BackendTLSPolicy) *BackendTLSPolicyFacts {
	return g.evalTLSPolicy(&tlsPolicyNode{policy, g.validatePolicy(policy)})
}

func (g *Graph) setTLSPolicy(name types.NamespacedName, policy *gwv1.BackendTLSPolicy, d *Dirty) {
	d.status(tlsPolicyKey(name))
	old := g.tlsPolicies[name]
	if old != nil && policy != nil && sameTLSPolicy(old.object, policy) {
		g.tlsPolicies[name] = &tlsPolicyNode{policy, old.validation}
		return
	}
	var services []types.NamespacedName
	var needed, needs []Key
	if old != nil {
		services = append(services, targetServices(old.object)...)
		needed = tlsPolicyNeeds(old.object)
	}
	if policy != nil {
		services = append(services, targetServices(policy)...)
		needs = tlsPolicyNeeds(policy)
	}
	services = sorted(services, compareNames)
	g.changeNeeds(needed, needs, d)
	g.followTLS(services, func() {
		if old != nil {
			g.indexTLSPolicy(old.object, false)
			delete(g.tlsPolicies, name)
		}
		if policy != nil {
			g.tlsPolicies[name] = &tlsPolicyNode{policy, g.validatePolicy(policy)}
			g.indexTLSPolicy(policy, true)
		}
	}, d)
	for _, service := range services {
		g.tlsPoliciesChanged(service, d)
	}
}

// sameTLSPolicy compares what facts depend on: the spec, and the age for conflicts.
func sameTLSPolicy(a, b *gwv1.BackendTLSPolicy) bool {
	return a.CreationTimestamp.Equal(&b.CreationTimestamp) && reflect.DeepEqual(a.Spec, b.Spec)
}

// indexTLSPolicy adds or removes the edges from a policy to what its facts depend on.
func (g *Graph) indexTLSPolicy(policy *gwv1.BackendTLSPolicy, present bool) {
	name := namespacedName(policy)
	for _, service := range targetServices(policy) {
		g.tlsPoliciesByService.edit(present, service, name)
	}
	for _, target := range tlsPolicyNeeds(policy) {
		g.tlsPoliciesByConfigMap.edit(present, target.NamespacedName(), name)
	}
}

// refreshTLSPolicy looks at a policy again after a ConfigMap that it refers to has changed.
func (g *Graph) refreshTLSPolicy(name types.NamespacedName, d *Dirty) {
	old := g.tlsPolicies[name]
	validation := g.validatePolicy(old.object)
	if reflect.DeepEqual(old.validation, validation) {
		return
	}
	d.status(tlsPolicyKey(name))
	g.followTLS(targetServices(old.object), func() { g.tlsPolicies[name] = &tlsPolicyNode{old.object, validation} }, d)
}

// tlsPoliciesChanged marks the policies of a Service, which or whose uses have changed.
func (g *Graph) tlsPoliciesChanged(service types.NamespacedName, d *Dirty) {
	for policy := range g.tlsPoliciesByService[service] {
		d.status(tlsPolicyKey(policy))
	}
}

// tlsPolicy returns the policy that rules the connections to a port of a Service, valid or not, or nil: "policies with
// and without sectionName on one Service do not conflict", and the one that names the port is the more specific.
func (g *Graph) tlsPolicy(key BackendKey) *tlsPolicyNode {
	if key.Kind != KindService || key.UDP || len(g.tlsPoliciesByService[key.NamespacedName()]) == 0 {
		return nil
	}
	port := servicePort(g.services[key.NamespacedName()], key)
	if port == nil {
		return nil
	}
	if port.Name != "" {
		if first := g.firstTLSPolicy(tlsTarget{key.NamespacedName(), gwv1.SectionName(port.Name)}, nil); first != nil {
			return first
		}
	}
	return g.firstTLSPolicy(tlsTarget{service: key.NamespacedName()}, nil)
}

// firstTLSPolicy returns the policy that takes precedence among those that select a target, or nil: "The older policy by
// creation timestamp takes precedence. ... The policy appearing first in alphabetical order by {namespace}/{name}."
// With another policy in mind, that one counts as if it were stored.
func (g *Graph) firstTLSPolicy(target tlsTarget, preview *tlsPolicyNode) *tlsPolicyNode {
	first := preview
	for name := range g.tlsPoliciesByService[target.service] {
		node := g.tlsPolicies[name]
		if preview != nil && name == namespacedName(preview.object) || !slices.Contains(tlsTargets(node.object), target) {
			continue
		}
		if first == nil || comparePolicies(node.object, first.object) < 0 {
			first = node
		}
	}
	return first
}

// appliedTLS is how the connections to a port are ruled.
type appliedTLS struct {
	policy types.NamespacedName
	tls    *BackendTLSFacts // nil if the policy isn't valid
}

// followTLS makes a change that may be one to how the connections to ports of Services are secured, and follows that.
func (g *Graph) followTLS(services []types.NamespacedName, change func(), d *Dirty) {
	before := g.applied(services)
	change()
	after := g.applied(services)
	refresh := map[types.NamespacedName]struct{}{}
	compare := func(key BackendKey) {
		was, had := before[key]
		is, has := after[key]
		if !reflect.DeepEqual(was.tls, is.tls) {
			d.backend(key)
		}
		if had != has {
			g.meshHostChanged(key, d)
		}
		if had != has || was.policy != is.policy || (was.tls == nil) != (is.tls == nil) {
			refresh[key.NamespacedName()] = struct{}{}
		}
	}
	for key := range before {
		compare(key)
	}
	for key := range after {
		if _, compared := before[key]; !compared {
			compare(key)
		}
	}
	for service := range refresh {
		for route := range g.routesByBackend[serviceKey(service)] {
			g.refreshRoute(route, d)
		}
		g.refreshCollector(service, d)
	}
}

// applied returns the ports of Services that a policy rules.
func (g *Graph) applied(services []types.NamespacedName) map[BackendKey]appliedTLS {
	ports := map[BackendKey]appliedTLS{}
	for _, service := range services {
		if len(g.tlsPoliciesByService[service]) == 0 {
			continue
		}
		for port := range servicePorts(g.services[service]) {
			key := ServiceBackend(service, port.Port)
			if node := g.tlsPolicy(key); node != nil {
				ports[key] = appliedTLS{namespacedName(node.object), node.validation.tls}
			}
		}
	}
	return ports
}

func tlsPolicyKey(name types.NamespacedName) Key {
	return Key{Kind: KindBackendTLSPolicy, Namespace: name.Namespace, Name: name.Name}
}
