package upstream

import "slices"

// releases are those that publish their CEL tests, with the number of cases that each channel builds: if fewer have a
// result, some did not run.
var releases = []struct {
	name  string
	cases map[string]int
}{
	{name: "v1.0.0", cases: map[string]int{"experimental": 143, "standard": 98}},
	{name: "v1.1.1", cases: map[string]int{"experimental": 153, "standard": 103}},
	{name: "v1.2.1", cases: map[string]int{"experimental": 185, "standard": 105}},
	{name: "v1.3.0", cases: map[string]int{"experimental": 202, "standard": 105}},
	{name: "v1.4.1", cases: map[string]int{"experimental": 216, "standard": 130}},
}

// A change is why cases of older suites fail on purpose.
type change struct {
	reason string
	// answer is what the server says today, a part of what a failed case prints.
	answer   string
	releases []string // whose suites have the cases
	cases    []string
}

// changes is the table of all cases that fail on purpose. Some are about rules of Gateway API; the others are about the
// words of Kubernetes' libraries, which every cluster of that age uses.
var changes = []change{
	{
		reason:   "v1.1 does not require tls for HTTPS listeners any more",
		answer:   "got err=\n        <nil>\n        ;want error=true",
		releases: []string{"v1.0.0"},
		cases:    []string{"TestValidateGateway/tls_config_not_set_with_https_protocol"},
	},
	{
		reason:   "v1.5 requires tls.mode for TLS listeners; v1.0 required tls, with another text, and v1.1 to v1.4 nothing",
		answer:   "spec.listeners: Invalid value: tls mode must be set for protocol TLS",
		releases: []string{"v1.0.0", "v1.1.1", "v1.2.1", "v1.3.0", "v1.4.1"},
		cases:    []string{"TestValidateGateway/tls_config_not_set_with_tls_protocol"},
	},
	{
		reason:   "v1.1 has another text: options may stand in for certificateRefs",
		answer:   "certificateRefs or options must be specified when mode is Terminate",
		releases: []string{"v1.0.0"},
		cases: []string{
			"TestValidateGateway/certificateRefs_not_set_with_https_protocol_and_TLS_terminate_mode",
			"TestValidateGateway/certificateRefs_not_set_with_tls_protocol_and_TLS_terminate_mode",
		},
	},
	{
		reason:   "v1.1 has no targets in other namespaces any more: refused, as the target would be left without TLS",
		answer:   "spec.targetRef.namespace: Forbidden: since Gateway API v1.1",
		releases: []string{"v1.0.0"},
		cases: []string{
			"TestBackendTLSPolicyConfig/valid_BackendTLSPolicyConfig_with_CACertRefs",
			"TestBackendTLSPolicyConfig/valid_BackendTLSPolicyConfig_with_WellKnownCACerts",
		},
	},
	{
		reason:   "v1.5 takes names of an implementation in wellKnownCACertificates: a pattern instead of an enum",
		answer:   "spec.validation.wellKnownCACertificates in body should match '^(System|",
		releases: []string{"v1.1.1", "v1.2.1", "v1.3.0", "v1.4.1"},
		cases:    []string{"TestBackendTLSPolicyValidation/invalid_BackendTLSPolicyValidation_with_Unsupported_value_for_WellKnownCACertificates"},
	},
	{
		reason:   "v1.5 writes cannot instead of can not",
		answer:   "interval cannot be greater than one hour",
		releases: []string{"v1.3.0", "v1.4.1"},
		cases: []string{
			"TestBackendTrafficPolicyConfig/invalid_BackendTrafficPolicyConfig_budgetInterval_too_long",
			"TestBackendTrafficPolicyConfig/invalid_BackendTrafficPolicyConfig_budgetInterval_too_short",
			"TestBackendTrafficPolicyConfig/invalid_BackendTrafficPolicyConfig_minRetryRate_interval",
		},
	},
	{
		reason:   "Kubernetes 1.29 runs no CEL rules after an error of an enum",
		answer:   `path.type: Unsupported value: `,
		releases: []string{"v1.0.0"},
		cases: []string{
			"TestHTTPPathMatch/invalid_type",
			"TestHTTPPathModifier/type_must_be_'ReplaceFullPath'_when_replaceFullPath_is_set",
			"TestHTTPPathModifier/type_must_be_'ReplacePrefixMatch'_when_replacePrefixMatch_is_set",
			"TestHTTPRouteRule/invalid_RequestRedirect_filter_(within_backendRefs)_because_path_match_has_type_ReplaceFullPath",
			"TestHTTPRouteRule/invalid_RequestRedirect_filter_because_path_match_has_type_ReplaceFullPath",
			"TestHTTPRouteRule/invalid_URLRewrite_filter_(within_backendRefs)_because_path_match_has_type_ReplaceFullPath",
			"TestHTTPRouteRule/invalid_URLRewrite_filter_because_too_many_path_matches#01",
		},
	},
	{
		reason:   "Kubernetes 1.28 leaves status out of the path in the text of an error of a schema",
		answer:   `status.addresses[0].value: Invalid value: "1.2.3.4:8080": addresses[0].value in body must be of type ipv4`,
		releases: []string{"v1.0.0"},
		cases:    []string{"TestValidateGateway/ip_address_and_hostname_in_status_addresses_are_invalid"},
	},
	{
		reason:   "Kubernetes 1.32 says more where it said longer",
		answer:   "spec.infrastructure.labels.key: Too long: may not be more than 63 bytes",
		releases: []string{"v1.2.1"},
		cases:    []string{"TestGatewayInfrastructureLabels/invalid_label_value_with_too_many_characters"},
	},
	{
		reason:   "Kubernetes 1.35 does not say object where a CEL rule of an object is broken",
		answer:   "spec.rules[0].timeouts: Invalid value: backendRequest timeout cannot be longer than request timeout",
		releases: []string{"v1.0.0", "v1.1.1", "v1.2.1", "v1.3.0", "v1.4.1"},
		cases:    []string{"TestHTTPRouteTimeouts/invalid_timeout_request_200ms_less_than_backendRequest_1s"},
	},
}

// changesOf returns the part of the table that is about the suite of a release, by case.
func changesOf(release string) map[string]*change {
	byCase := map[string]*change{}
	for i := range changes {
		if slices.Contains(changes[i].releases, release) {
			for _, name := range changes[i].cases {
				byCase[name] = &changes[i]
			}
		}
	}
	return byCase
}
