package lint

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

func TestActions(t *testing.T) {
	t.Parallel()
	weights, retry, mirror := &routev3.WeightedCluster{}, &routev3.RetryPolicy{}, &routev3.RouteAction_RequestMirrorPolicy{}
	substitution, header := &matcherv3.RegexMatchAndSubstitute{}, &corev3.HeaderValueOption{}
	for name, test := range map[string]struct {
		message proto.Message
		text    string
		want    []string
	}{
		"weights":         {weights, `{clusters: [{name: a, weight: 0}, {clusterHeader: b, weight: 4294967295}]}`, []string{}},
		"weights of 0":    {weights, `{clusters: [{name: a, weight: 0}]}`, []string{"invalid: : the sum of the weights is 0; it must be in 1..4294967295"}},
		"too much weight": {weights, `{clusters: [{name: a, weight: 4294967295}, {name: b, weight: 1}]}`, []string{"invalid: : the sum of the weights is 4294967296; it must be in 1..4294967295"}},
		"no weight":       {weights, `{clusters: [{name: a, weight: 1}, {name: b}]}`, []string{"invalid: .clusters[1]: it has no weight"}},
		"no cluster":      {weights, `{clusters: [{weight: 1}]}`, []string{"invalid: .clusters[0]: one of name and cluster_header must be set, and not both"}},

		"mirror":                   {mirror, `{cluster: a}`, []string{}},
		"mirror without a cluster": {mirror, `{}`, []string{"invalid: : one of cluster and cluster_header must be set, and not both"}},
		"mirror to two clusters":   {mirror, `{cluster: a, clusterHeader: b}`, []string{"invalid: : one of cluster and cluster_header must be set, and not both"}},

		"retries":                    {retry, `{retryOn: "connect-failure, reset,retriable-status-codes", retriableStatusCodes: [500], retryBackOff: {baseInterval: 1s, maxInterval: 1s}}`, []string{}},
		"no retries":                 {retry, `{perTryTimeout: 1s}`, []string{}},
		"an unknown condition":       {retry, `{retryOn: "reset,503"}`, []string{`ignored: .retry_on: there is no condition "503"`}},
		"codes without a condition":  {retry, `{retryOn: reset, retriableStatusCodes: [500]}`, []string{"ignored: .retriable_status_codes: retry_on doesn't have retriable-status-codes"}},
		"a back-off that goes down":  {retry, `{retryBackOff: {baseInterval: 2s, maxInterval: 1s}}`, []string{"invalid: .retry_back_off.max_interval: it is less than the base_interval"}},
		"a back-off without maximum": {retry, `{retryBackOff: {baseInterval: 2s}}`, []string{}},

		"substitution":       {substitution, `{pattern: {regex: "(a)(b)"}, substitution: '\0\2\\3'}`, []string{}},
		"no such group":      {substitution, `{pattern: {regex: "(a)"}, substitution: '\2'}`, []string{`ignored: .substitution: a \ must be followed by \ or the number of a group of the pattern`}},
		"a lone backslash":   {substitution, `{pattern: {regex: a}, substitution: 'b\'}`, []string{`ignored: .substitution: a \ must be followed by \ or the number of a group of the pattern`}},
		"an escaped letter":  {substitution, `{pattern: {regex: a}, substitution: '\\\n'}`, []string{`ignored: .substitution: a \ must be followed by \ or the number of a group of the pattern`}},
		"a pattern that has": {substitution, `{pattern: {regex: "("}, substitution: '\1'}`, []string{"bad-regex: .pattern.regex: error parsing regexp: missing closing ): `(`"}},

		"header":                  {header, `{header: {key: a, value: "100%% %REQ(b?c):3%%PROTOCOL%"}, appendAction: ADD_IF_ABSENT}`, []string{}},
		"pseudo header":           {header, `{header: {key: ":path", value: a}}`, []string{"invalid: .header.key: :-prefixed or host headers may not be modified"}},
		"Host":                    {header, `{header: {key: Host, value: a}}`, []string{"invalid: .header.key: :-prefixed or host headers may not be modified"}},
		"percent sign":            {header, `{header: {key: a, value: "100%"}}`, []string{"invalid: .header.value: a % must be part of a command operator, or be followed by another one"}},
		"percent sign and escape": {header, `{header: {key: a, value: "%%%"}}`, []string{"invalid: .header.value: a % must be part of a command operator, or be followed by another one"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, ofMessage(parse(t, proto.CloneOf(test.message), test.text))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
