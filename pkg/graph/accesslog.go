package graph

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// operator says what may follow the name of a command operator in a format string of Envoy.
type operator struct {
	// arguments in parentheses: none, some if wanted, or some.
	arguments argumentRule
	// length says that the value may be cut, with ":N".
	length bool
	// check finds what Envoy refuses in the arguments; nil if it is nothing.
	check func(arguments string) string
}

type argumentRule int

const (
	noArguments argumentRule = iota
	mayHaveArguments
	mustHaveArguments
)

// operators are the command operators of Envoy 1.36 that need no extension. Envoy refuses a listener in whose access log there
// is an operator that it doesn't know.
//
// https://www.envoyproxy.io/docs/envoy/v1.36.2/configuration/observability/access_log/usage
var operators = func() map[string]operator {
	all := map[string]operator{
		"REQ":     {mustHaveArguments, true, badHeaderNames},
		"RESP":    {mustHaveArguments, true, badHeaderNames},
		"TRAILER": {mustHaveArguments, true, badHeaderNames},

		"START_TIME":                   {mayHaveArguments, false, badTimeFormat},
		"START_TIME_LOCAL":             {mayHaveArguments, false, badTimeFormat},
		"EMIT_TIME":                    {mayHaveArguments, false, badTimeFormat},
		"EMIT_TIME_LOCAL":              {mayHaveArguments, false, badTimeFormat},
		"DOWNSTREAM_PEER_CERT_V_START": {mayHaveArguments, false, badTimeFormat},
		"DOWNSTREAM_PEER_CERT_V_END":   {mayHaveArguments, false, badTimeFormat},
		"UPSTREAM_PEER_CERT_V_START":   {mayHaveArguments, false, badTimeFormat},
		"UPSTREAM_PEER_CERT_V_END":     {mayHaveArguments, false, badTimeFormat},
		"GRPC_STATUS":                  {mayHaveArguments, false, badStatusFormat},
		"RESPONSE_CODE_DETAILS":        {mayHaveArguments, false, nil},
		"DYNAMIC_METADATA":             {mustHaveArguments, false, nil},
		"CLUSTER_METADATA":             {mustHaveArguments, false, nil},
		"UPSTREAM_METADATA":            {mustHaveArguments, false, nil},
		"ENVIRONMENT":                  {mustHaveArguments, true, nil},
	}
	for _, name := range strings.Fields(`
		ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS
		DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT
		DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT
		DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_LOCAL_EMAIL_SAN
		DOWNSTREAM_LOCAL_IP_SAN DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN
		DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256 DOWNSTREAM_PEER_CHAIN_SERIALS
		DOWNSTREAM_PEER_DNS_SAN DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256
		DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_SUBJECT
		DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT
		DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON
		DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT DURATION FILTER_CHAIN_NAME GRPC_STATUS_NUMBER HOSTNAME
		LOCAL_REPLY_BODY PACKETS_RETRANSMITTED PROTOCOL REQUESTED_SERVER_NAME REQUEST_DURATION REQUEST_HEADERS_BYTES REQUEST_TX_DURATION
		RESPONSE_CODE RESPONSE_DURATION RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES
		RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_NAME STREAM_ID TLS_JA3_FINGERPRINT TRACE_ID UNIQUE_ID UPSTREAM_CLUSTER
		UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_HEADER_BYTES_RECEIVED
		UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOST UPSTREAM_HOST_NAME UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS
		UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_DNS_SAN UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_PORT UPSTREAM_LOCAL_URI_SAN
		UPSTREAM_PEER_CERT UPSTREAM_PEER_DNS_SAN UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN
		UPSTREAM_PROTOCOL UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_PORT
		UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_TLS_CIPHER UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION
		UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT VIRTUAL_CLUSTER_NAME`) {
		all[name] = operator{}
	}
	return all
}()

// invalidAccessLog finds what Envoy would refuse in an access log, and with it the listeners that have it.
func invalidAccessLog(log *fleetv1alpha1.AccessLog) *Problem {
	if log == nil {
		return nil
	}
	if strings.ContainsFunc(log.Path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return newProblem(fleetv1alpha1.ReasonInvalid, "spec.accessLog.path: must have no control characters")
	}
	if log.Text != nil && log.JSON != nil {
		return newProblem(fleetv1alpha1.ReasonInvalid, "spec.accessLog: at most one of text and json must be set")
	}
	if log.Text != nil {
		if wrong := badFormat(*log.Text); wrong != "" {
			return newProblem(fleetv1alpha1.ReasonInvalid, "spec.accessLog.text: %s", wrong)
		}
	}
	for _, member := range slices.Sorted(maps.Keys(log.JSON)) {
		if wrong := badFormat(log.JSON[member]); wrong != "" {
			return newProblem(fleetv1alpha1.ReasonInvalid, "spec.accessLog.json[%s]: %s", member, wrong)
		}
	}
	return nil
}

// command matches a command operator at the start of what is left of a format string.
var command = regexp.MustCompile(`^%([A-Z0-9_]+)(\(([^)]*)\))?(:[0-9]+)?%`)

// badFormat says what Envoy refuses in a format string; empty if it is nothing.
func badFormat(format string) string {
	for {
		at := strings.IndexByte(format, '%')
		if at < 0 {
			return ""
		}
		format = format[at:]
		if strings.HasPrefix(format, "%%") {
			format = format[2:]
			continue
		}
		m := command.FindStringSubmatch(format)
		if m == nil {
			return fmt.Sprintf("%.32q begins no command operator such as %%PROTOCOL%% or %%REQ(USER-AGENT)%%; write %%%% for a percent sign", format)
		}
		if wrong := badOperator(m[1], m[3], m[4] != ""); wrong != "" {
			return m[0] + ": " + wrong
		}
		format = format[len(m[0]):]
	}
}

func badOperator(name, arguments string, cut bool) string {
	op, known := operators[name]
	switch {
	case !known:
		return "Envoy has no such command operator, or none without an extension"
	case op.arguments == noArguments && arguments != "":
		return name + " takes no arguments"
	case op.arguments == mustHaveArguments && arguments == "":
		return name + " needs arguments in parentheses"
	case cut && !op.length:
		return name + " takes no length"
	case op.check != nil:
		return op.check(arguments)
	}
	return ""
}

var headerName = regexp.MustCompile("^:?[-A-Za-z0-9!#$&'*+.^_`|~]+$")

// badHeaderNames: "X?Y", where Y is an alternative header.
func badHeaderNames(arguments string) string {
	names := strings.Split(arguments, "?")
	if len(names) > 2 {
		return "at most one alternative header can be named"
	}
	for i, name := range names {
		if !headerName.MatchString(name) && (i == 0 || name != "") {
			return fmt.Sprintf("%q is no name of a header", name)
		}
	}
	return ""
}

// newline matches what would begin another line in a time.
var newline = regexp.MustCompile("\n|%[-_0^#]*[1-9]*(E|O)?n")

func badTimeFormat(arguments string) string {
	if newline.MatchString(arguments) {
		return "a time has no line breaks"
	}
	return ""
}

func badStatusFormat(arguments string) string {
	switch arguments {
	case "", "CAMEL_STRING", "SNAKE_STRING", "NUMBER":
		return ""
	}
	return "use CAMEL_STRING, SNAKE_STRING or NUMBER"
}
