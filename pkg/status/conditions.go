package status

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// maxConditions is the maxItems of every list of conditions in the Gateway API's CRDs. A list that others have filled
// takes no more of ours: theirs must not be removed, and a longer list would be refused by the schema.
const maxConditions = 8

// ownDomain is what the types of conditions begin with that nobody else writes.
const ownDomain = "gateway-apiserver.dev/"

// A verdict is what a condition has to say, or with an empty status, that there must be no such condition.
type verdict struct {
	conditionType   string
	status          metav1.ConditionStatus
	reason, message string
}

// positive is the verdict of a condition that says that a rule holds: True for the given reason, or False for that of
// the problem.
func positive[T, R ~string](conditionType T, p *graph.Problem, reason R, message string) verdict {
	if p != nil {
		return verdict{string(conditionType), metav1.ConditionFalse, p.Reason, p.Message}
	}
	return verdict{string(conditionType), metav1.ConditionTrue, string(reason), message}
}

// negative is the verdict of a condition that says that there is a problem, and isn't there when there is none.
func negative[T ~string](conditionType T, p *graph.Problem) verdict {
	if p == nil {
		return verdict{conditionType: string(conditionType)}
	}
	return verdict{string(conditionType), metav1.ConditionTrue, p.Reason, p.Message}
}

// The types of the conditions that are ours among those of others: what is rendered has a verdict on each of them,
// whatever the facts are. The conditions of routes and policies are in entries of our own.
var (
	classConditionTypes    = typesOf(classVerdicts(&graph.GatewayClassFacts{}))
	gatewayConditionTypes  = append(typesOf(gatewayVerdicts(&graph.GatewayFacts{})), ConditionDelivered)
	listenerConditionTypes = typesOf(listenerVerdicts(&graph.ListenerFacts{}))

	listenerSetConditionTypes = typesOf(listenerSetVerdicts(&graph.ListenerSetFacts{}))
	fleetConditionTypes       = typesOf(fleetVerdicts(&graph.EnvoyFleetFacts{}))
	meshConditionTypes        = typesOf(meshVerdicts(&graph.XMeshFacts{}))
)

func typesOf(verdicts []verdict) []string {
	types := make([]string, 0, len(verdicts))
	for _, v := range verdicts {
		types = append(types, v.conditionType)
	}
	return types
}

// ConditionTypes returns the types of all conditions that are rendered into the status of GatewayClasses, Gateways,
// ListenerSets, listeners, EnvoyFleets and XMeshes, next to those of others, each once, in the order of the alphabet. The slice
// is the caller's.
func ConditionTypes() []string {
	types := slices.Concat(classConditionTypes, gatewayConditionTypes, listenerConditionTypes, listenerSetConditionTypes, fleetConditionTypes,
		meshConditionTypes)
	slices.Sort(types)
	return slices.Compact(types)
}

// merge writes verdicts into a list of conditions that is the caller's, with the semantics of meta.SetStatusCondition
// (which reads the clock, and knows no limit): a condition keeps its place, and its lastTransitionTime unless its
// status changes. New ones go to the end, as far as there is room, in the order of the verdicts.
func merge(conditions *[]metav1.Condition, generation int64, now metav1.Time, verdicts ...verdict) {
	// Removing comes first, because it makes room.
	*conditions = slices.DeleteFunc(*conditions, func(c metav1.Condition) bool {
		return slices.Contains(verdicts, verdict{conditionType: c.Type})
	})
	for _, v := range verdicts {
		if v.status == "" {
			continue
		}
		c := meta.FindStatusCondition(*conditions, v.conditionType)
		if c == nil {
			if len(*conditions) >= maxConditions {
				continue
			}
			*conditions = append(*conditions, metav1.Condition{Type: v.conditionType})
			c = &(*conditions)[len(*conditions)-1]
		}
		if c.Status != v.status {
			c.Status, c.LastTransitionTime = v.status, now
		}
		c.Reason, c.Message, c.ObservedGeneration = v.reason, shortened(v.message), generation
	}
}

// maxMessage is the maxLength of a condition's message, in characters. Here it is in bytes, which are no fewer.
const maxMessage = 32768

// shortened returns as much of a message as a condition can have.
func shortened(message string) string {
	const more = "..."
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage-len(more)], "") + more
}
