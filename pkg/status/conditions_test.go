package status_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

var (
	before = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	now    = metav1.NewTime(before.Add(time.Hour))
	later  = metav1.NewTime(before.Add(2 * time.Hour))
)

// pending are the conditions that the schemas give new GatewayClasses and Gateways.
func pending(types ...string) []metav1.Condition {
	var list []metav1.Condition
	for _, t := range types {
		list = append(list, metav1.Condition{
			Type: t, Status: metav1.ConditionUnknown, Reason: "Pending", Message: "Waiting for controller",
			LastTransitionTime: metav1.NewTime(time.Unix(0, 0)),
		})
	}
	return list
}

// foreign is a condition that isn't ours.
func foreign(conditionType string) metav1.Condition {
	return metav1.Condition{
		Type: conditionType, Status: metav1.ConditionTrue, ObservedGeneration: 99,
		LastTransitionTime: before, Reason: "Seeded", Message: "by somebody else",
	}
}

// text returns a line per condition, "Type=Status Reason: message".
func text(conditions []metav1.Condition) []string {
	var lines []string
	for _, c := range conditions {
		lines = append(lines, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return lines
}

// stamps returns a line per condition, "Type GENERATION HH:MM".
func stamps(conditions []metav1.Condition) []string {
	var lines []string
	for _, c := range conditions {
		lines = append(lines, fmt.Sprintf("%s %d %s", c.Type, c.ObservedGeneration, c.LastTransitionTime.UTC().Format("15:04")))
	}
	return lines
}

func problem(reason, message string) *graph.Problem {
	return &graph.Problem{Reason: reason, Message: message}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestTransitions renders one status after the other and looks at generations and times.
func TestTransitions(t *testing.T) {
	t.Parallel()
	good := &graph.GatewayClassFacts{Managed: true}
	bad := &graph.GatewayClassFacts{Managed: true, Unaccepted: problem("InvalidParameters", "one")}
	worse := &graph.GatewayClassFacts{Managed: true, Unaccepted: problem("Unsupported", "two")}
	tests := []struct {
		name          string
		first, second *graph.GatewayClassFacts
		generation    int64
		want          []string
	}{
		{"nothing changes", good, good, 1, []string{"Accepted 1 04:04", "SupportedVersion 1 04:04"}},
		{"only the generation changes", good, good, 2, []string{"Accepted 2 04:04", "SupportedVersion 2 04:04"}},
		{"the status changes", good, bad, 1, []string{"Accepted 1 05:04", "SupportedVersion 1 04:04"}},
		{"the status changes back", bad, good, 2, []string{"Accepted 2 05:04", "SupportedVersion 2 04:04"}},
		{"only reason and message change", bad, worse, 1, []string{"Accepted 1 04:04", "SupportedVersion 1 04:04"}},
		{"a generation from the future is corrected", good, good, 0, []string{"Accepted 0 04:04", "SupportedVersion 0 04:04"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old := gwv1.GatewayClassStatus{Conditions: pending("Accepted")}
			first := status.GatewayClass(tt.first, old, 1, now)
			equal(t, "first", stamps(first.Conditions), []string{"Accepted 1 04:04", "SupportedVersion 1 04:04"})
			second := status.GatewayClass(tt.second, first, tt.generation, later)
			equal(t, "second", stamps(second.Conditions), tt.want)
			if p := tt.second.Unaccepted; p != nil {
				equal(t, "Accepted", text(second.Conditions)[0], "Accepted=False "+p.Reason+": "+p.Message)
			}
		})
	}
}

// TestFullList has no room for conditions of ours, since the schema allows 8.
func TestFullList(t *testing.T) {
	t.Parallel()
	var old gwv1.GatewayClassStatus
	for i := range 7 {
		old.Conditions = append(old.Conditions, foreign(fmt.Sprint("example.com/C", i)))
	}
	got := status.GatewayClass(&graph.GatewayClassFacts{Managed: true}, old, 1, now)
	equal(t, "foreign conditions", got.Conditions[:7], old.Conditions)
	if len(got.Conditions) != 8 || got.Conditions[7].Type != "Accepted" {
		t.Errorf("got %q, want Accepted in the last place", text(got.Conditions))
	}
}

// TestLongMessage: the schema allows 32768 characters.
func TestLongMessage(t *testing.T) {
	t.Parallel()
	for _, length := range []int{32768, 32769, 65536} {
		message := strings.Repeat("é", length/2) + strings.Repeat("x", length%2)
		got := status.GatewayClass(&graph.GatewayClassFacts{Managed: true, Unaccepted: problem("InvalidParameters", message)}, gwv1.GatewayClassStatus{}, 1, now)
		shown := got.Conditions[0].Message
		if length == 32768 {
			equal(t, "message", shown, message)
		} else if len(shown) > 32768 || len(shown) < 32760 || !utf8.ValidString(shown) || !strings.HasSuffix(shown, "é...") {
			t.Errorf("of %d bytes, %d are shown, ending in %q", length, len(shown), shown[len(shown)-8:])
		}
	}
}

// TestConditionTypes has every type once. That no other one is rendered is for FuzzMerge to tell.
func TestConditionTypes(t *testing.T) {
	t.Parallel()
	want := slices.Concat(classTypes, gatewayTypes, listenerTypes)
	slices.Sort(want)
	equal(t, "types", status.ConditionTypes(), slices.Compact(want))
}
