package graph

import (
	"fmt"
	"iter"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// What the CRD's defaults make of a retryConstraint that leaves fields out.
const (
	defaultBudgetPercent  = 20
	defaultBudgetInterval = 10 * time.Second
	defaultMinRetries     = 10
)

// trafficPolicyNode is an XBackendTrafficPolicy and how it reads, which every backendRef to its targets asks for.
type trafficPolicyNode struct {
	object  *gwxv1alpha1.XBackendTrafficPolicy
	asks    trafficPolicy // for nothing, if it is invalid
	invalid *Problem
}

// A trafficPolicy is what a valid XBackendTrafficPolicy asks for.
type trafficPolicy struct {
	session *SessionFacts
	budget  *RetryBudgetFacts
}

// BackendTrafficPolicy returns what is true of an XBackendTrafficPolicy, or nil if there is no such policy.
func (g *Graph) BackendTrafficPolicy(name types.NamespacedName) *BackendTrafficPolicyFacts {
	node := g.trafficPolicies[name]
	if node == nil {
		return nil
	}
	return g.evalTrafficPolicy(node)
}

// PreviewBackendTrafficPolicy returns what would be true of policy if it were written now. Nothing changes.
func (g *Graph) PreviewBackendTrafficPolicy(policy *gwxv1alpha1.XBackendTrafficPolicy) *BackendTrafficPolicyFacts {
	return g.evalTrafficPolicy(readTrafficPolicy(policy))
}

func (g *Graph) evalTrafficPolicy(node *trafficPolicyNode) *BackendTrafficPolicyFacts {
	policy, invalid := node.object, node.invalid
	f := &BackendTrafficPolicyFacts{Object: policy}
	for i, ref := range policy.Spec.TargetRefs {
		t := g.trafficTarget(policy.Namespace, ref)
		if t.Unaccepted == nil {
			t.Unaccepted = firstProblem(invalid, g.overruled(node, t.Target))
		}
		if t.Unaccepted != nil && t.Unaccepted != invalid {
			t.Unaccepted = t.Unaccepted.in(fmt.Sprintf("spec.targetRefs[%d]", i))
		}
		f.Targets = append(f.Targets, t)
	}
	f.Ancestors = trafficAncestors(f.Targets)
	if invalid == nil {
		f.Warnings = append(g.streamWarnings(f.Targets), trafficPolicyWarnings(&policy.Spec)...)
	}
	return f
}

// readTrafficPolicy finds out what a policy asks for, or why it is invalid: "This reason is used with the Accepted
// condition when the policy is syntactically or semantically invalid" (PolicyReasonInvalid).
func readTrafficPolicy(policy *gwxv1alpha1.XBackendTrafficPolicy) *trafficPolicyNode {
	var p trafficPolicy
	var invalidSession, invalidBudget *Problem
	if s := policy.Spec.SessionPersistence; s != nil {
		p.session, invalidSession = session(s, inSpec)
	}
	p.budget, invalidBudget = retryBudget(policy.Spec.RetryConstraint)
	if problem := firstProblem(invalidSession, invalidBudget); problem != nil {
		return &trafficPolicyNode{object: policy, invalid: newProblem(gwv1.PolicyReasonInvalid, "%s", problem.Message)}
	}
	if p.budget != nil {
		p.budget.Policy = namespacedName(policy)
	}
	return &trafficPolicyNode{object: policy, asks: p}
}

// inSpec names a field of a policy.
func inSpec(path string) string { return "spec." + path }

// retryBudget reads a retryConstraint. Envoy bounds how many retries are in flight, and knows no rate: as many as may be
// made at least in an interval may be in flight at least, which comes to the same when a retry takes that long.
func retryBudget(spec *gwxv1alpha1.RetryConstraint) (*RetryBudgetFacts, *Problem) {
	if spec == nil {
		return nil, nil
	}
	f := &RetryBudgetFacts{Percent: defaultBudgetPercent, Interval: defaultBudgetInterval, MinConcurrency: defaultMinRetries}
	if b := spec.Budget; b != nil {
		f.Percent = valueOr(b.Percent, f.Percent)
		if b.Interval != nil {
			interval, err := time.ParseDuration(string(*b.Interval))
			if err != nil {
				return nil, unsupportedValue("%q is not a duration", *b.Interval).in("spec.retryConstraint.budget.interval")
			}
			f.Interval = interval
		}
		if f.Percent < 0 || f.Percent > 100 {
			return nil, unsupportedValue("%d is not between 0 and 100", f.Percent).in("spec.retryConstraint.budget.percent")
		}
	}
	if r := spec.MinRetryRate; r != nil && r.Count != nil {
		const most = 1_000_000
		if *r.Count < 0 || *r.Count > most {
			return nil, unsupportedValue("%d is not between 0 and %d", *r.Count, most).in("spec.retryConstraint.minRetryRate.count")
		}
		f.MinConcurrency = uint32(*r.Count)
	}
	return f, nil
}

// trafficPolicyWarnings names what of a valid policy Envoy does in another way, or not at all.
func trafficPolicyWarnings(spec *gwxv1alpha1.BackendTrafficPolicySpec) []string {
	var warnings []string
	if s := spec.SessionPersistence; s != nil {
		warnings = sessionWarnings(s, inSpec)
		if s.SessionName != nil {
			// "Route rules referencing the same service MUST NOT share persistent sessions (i.e. the same cookie)" (GEP-1619).
			warnings = append(warnings, "spec.sessionPersistence.sessionName: with one name, the rules of routes that forward to the same target "+
				"share its sessions; without it, each has its own")
		}
	}
	if c := spec.RetryConstraint; c != nil {
		if c.MinRetryRate != nil {
			warnings = append(warnings, "spec.retryConstraint.minRetryRate: Envoy limits the retries that are in flight instead of their rate, "+
				"so minRetryRate.count retries may be in flight at least, and minRetryRate.interval has no effect")
		}
		warnings = append(warnings, "spec.retryConstraint: each Envoy counts for itself, and when the budget is spent its client gets "+
			"the answer of the last try, not always 503")
	}
	return warnings
}

// overruled: "there is another policy that targets the same resource and a merge is not possible" (PolicyReasonConflicted).
// No merge strategy is defined for the kind ("there is no Override or Default policy configuration"), so that the
// established policy wins: see comparePolicies.
func (g *Graph) overruled(node *trafficPolicyNode, target Key) *Problem {
	established := g.establishedPolicy(target, node)
	if established == nil || namespacedName(established.object) == namespacedName(node.object) {
		return nil
	}
	return newProblem(gwv1.PolicyReasonConflicted, "XBackendTrafficPolicy %s, which comes before this one, already targets %s",
		namespacedName(established.object), target)
}

// establishedPolicy returns the first of the valid policies that have a target, or nil if there is none. One may be given to
// be considered instead of the policy of its name.
func (g *Graph) establishedPolicy(target Key, instead *trafficPolicyNode) *trafficPolicyNode {
	var first *trafficPolicyNode
	consider := func(node *trafficPolicyNode) {
		if node.invalid == nil && (first == nil || comparePolicies(node.object, first.object) < 0) {
			first = node
		}
	}
	for name := range g.trafficPoliciesByTarget[target] {
		if instead == nil || name != namespacedName(instead.object) {
			consider(g.trafficPolicies[name])
		}
	}
	if instead != nil {
		consider(instead)
	}
	return first
}

// trafficPolicyOf returns what the established policy of a backend asks for.
func (g *Graph) trafficPolicyOf(target Key) trafficPolicy {
	return g.establishedPolicy(target, nil).asked()
}

// asked is what a policy asks for, which is nothing if there is none.
func (n *trafficPolicyNode) asked() trafficPolicy {
	if n == nil {
		return trafficPolicy{}
	}
	return n.asks
}

func (g *Graph) setTrafficPolicy(name types.NamespacedName, policy *gwxv1alpha1.XBackendTrafficPolicy, d *Dirty) {
	d.status(trafficPolicyKey(name))
	old := g.trafficPolicies[name]
	if old != nil && policy != nil && sameTrafficPolicy(old.object, policy) {
		g.trafficPolicies[name] = &trafficPolicyNode{policy, old.asks, old.invalid}
		return
	}
	var node *trafficPolicyNode
	if policy != nil {
		node = readTrafficPolicy(policy)
	}
	targets := sorted(append(old.targets(), node.targets()...), compareKeys)
	before := make([]*trafficPolicyNode, len(targets))
	for i, target := range targets {
		before[i] = g.establishedPolicy(target, nil)
		g.trafficPoliciesByTarget.remove(target, name)
	}
	put(g.trafficPolicies, name, node)
	for _, target := range node.targets() {
		g.trafficPoliciesByTarget.add(target, name)
	}
	for i, target := range targets {
		if after := g.establishedPolicy(target, nil); after != before[i] {
			g.establish(target, before[i], after, d)
		}
	}
}

// establish follows what changes when another policy than before, or another state of it, holds for a backend.
func (g *Graph) establish(target Key, before, after *trafficPolicyNode, d *Dirty) {
	if before == nil || after == nil || namespacedName(before.object) != namespacedName(after.object) {
		g.trafficPoliciesChanged(target, d)
	}
	was, is := before.asked(), after.asked()
	if !reflect.DeepEqual(was.budget, is.budget) {
		for port := range g.portsOf(target) {
			d.backend(port)
		}
	}
	if !reflect.DeepEqual(was.session, is.session) {
		for route := range g.routesByBackend[target] {
			g.refreshRoute(route, d)
		}
	}
}

// portsOf yields the ports of a backend by which requests can be sent to it.
func (g *Graph) portsOf(target Key) iter.Seq[BackendKey] {
	return func(yield func(BackendKey) bool) {
		if node := g.xbackends[target.NamespacedName()]; target.Kind == KindBackend && node != nil {
			yield(BackendKey{Key: target, Port: node.read.port})
			return
		}
		for key := range allPorts(g.services[target.NamespacedName()]) {
			if target.Kind == KindService && !key.UDP && !yield(key) {
				return
			}
		}
	}
}

// sameTrafficPolicy compares what facts depend on: the spec, and the age for its place among other policies.
func sameTrafficPolicy(a, b *gwxv1alpha1.XBackendTrafficPolicy) bool {
	return a.CreationTimestamp.Equal(&b.CreationTimestamp) && reflect.DeepEqual(a.Spec, b.Spec)
}

// targets returns what a policy targets, of which some may be missing. A policy that isn't there targets nothing.
func (n *trafficPolicyNode) targets() []Key {
	if n == nil {
		return nil
	}
	var targets []Key
	for _, ref := range n.object.Spec.TargetRefs {
		if target, known := policyTarget(ref, n.object.Namespace, trafficTargetKinds); known {
			targets = append(targets, target)
		}
	}
	return targets
}

// trafficPoliciesChanged marks the statuses of the policies that target a backend.
func (g *Graph) trafficPoliciesChanged(target Key, d *Dirty) {
	for policy := range g.trafficPoliciesByTarget[target] {
		d.status(trafficPolicyKey(policy))
	}
}

func trafficPolicyKey(name types.NamespacedName) Key {
	return Key{Kind: KindBackendTrafficPolicy, Namespace: name.Namespace, Name: name.Name}
}
