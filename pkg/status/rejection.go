package status

import (
	"fmt"
	"strconv"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// ConditionProgrammed is the type of the condition of a route's parent, and of the ancestor of a policy or of an XBackend, that is
// False when nodes have rejected what was made of the object, and isn't there when none have. Upstream has no such condition
// for them: what it has for Gateways and listeners means "some configuration ... is assumed to be ready soon in the underlying data plane".
const ConditionProgrammed = "gateway-apiserver.dev/Programmed"

// maxRejection is how many bytes of what a node says a condition has room for: Envoy repeats whole resources.
const maxRejection = 2048

// unprogrammed is ConditionProgrammed of something that nodes may have rejected.
func unprogrammed(r *graph.RejectionFacts) verdict {
	p := rejected(r)
	if p == nil {
		return verdict{conditionType: ConditionProgrammed}
	}
	return positive(ConditionProgrammed, p, p.Reason, "")
}

// rejected: Invalid is "used with the Programmed ... conditions when the Gateway is syntactically or semantically invalid"
// (GatewayReasonInvalid), and here it is the nodes that have found it.
func rejected(r *graph.RejectionFacts) *graph.Problem {
	if r == nil {
		return nil
	}
	by := "1 node"
	switch {
	case r.More:
		by = fmt.Sprintf("more than %d nodes", r.Nodes)
	case r.Nodes != 1:
		by = fmt.Sprintf("%d nodes", r.Nodes)
	}
	return &graph.Problem{
		Reason:  string(gwv1.GatewayReasonInvalid),
		Message: fmt.Sprintf("%s rejected this configuration: %s", by, quoted(r.Message)),
	}
}

// quoted returns the beginning of a text by others, with an escape in place of each character that can't be printed.
func quoted(text string) string {
	const more = "..."
	if len(text) > maxRejection {
		text = strings.ToValidUTF8(text[:maxRejection-len(more)], "") + more
	}
	return strconv.QuoteToGraphic(text)
}
