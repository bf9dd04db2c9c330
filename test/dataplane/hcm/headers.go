package hcm

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/net/http/httpguts"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/call"
)

// internalHeaders are what Envoy understands from clients that it trusts: none. See ConnectionManagerUtility::cleanInternalHeaders.
var internalHeaders = canonical(
	"x-envoy-internal", "x-envoy-retriable-status-codes", "x-envoy-retriable-header-names", "x-envoy-retry-on", "x-envoy-retry-grpc-on",
	"x-envoy-max-retries", "x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-timeout-ms",
	"x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-rq-timeout-alt-response", "x-envoy-expected-rq-timeout-ms",
	"x-envoy-force-trace", "x-envoy-ip-tags", "x-envoy-original-url", "x-envoy-hedge-on-per-try-timeout",
)

// edgeHeaders are those that nobody outside of the network is to send, which use_remote_address says clients are.
var edgeHeaders = canonical("x-envoy-decorator-operation", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node")

// hopHeaders are those of one hop, of requests and responses.
var hopHeaders = canonical("connection", "upgrade", "keep-alive", "proxy-connection", "transfer-encoding")

func canonical(names ...string) []string {
	for i, name := range names {
		names[i] = http.CanonicalHeaderKey(name)
	}
	return names
}

func remove(h http.Header, names []string) {
	for _, name := range names {
		delete(h, name)
	}
}

// underscored says whether a header's name has an underscore.
func underscored(h http.Header) bool {
	for name := range h {
		if strings.Contains(name, "_") {
			return true
		}
	}
	return false
}

func count(h http.Header) int {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n
}

// maxNominated is how many headers a Connection header may name: see Utility::sanitizeConnectionHeader.
const maxNominated = 10

// removeNominated removes the headers that the Connection header of an HTTP/1.1 request names. It returns false if a client may not
// name one of them.
func removeNominated(h http.Header) bool {
	names := strings.Split(strings.Join(h["Connection"], ","), ",")
	if len(names) >= maxNominated {
		return false
	}
	for _, name := range names {
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "", "close", "keep-alive", "upgrade", "connection", "te": // of TE, "trailers" stays
		case "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto":
			return false
		default:
			if name[0] == ':' {
				return false
			}
			h.Del(name)
		}
	}
	return true
}

// upgradeOf returns the protocol that an HTTP/1.1 request wants to change to, in lower case, or the empty string. It can't be h2c:
// Envoy takes HTTP/2 by prior knowledge only.
func upgradeOf(h http.Header) string {
	upgrade := strings.ToLower(h.Get("Upgrade"))
	if upgrade == "h2c" || !httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade") {
		return ""
	}
	return upgrade
}

// mutateRequest brings the header of a request into the form in which filters see it: see
// ConnectionManagerUtility::mutateRequestHeaders.
func (s *stream) mutateRequest() {
	h := s.x.Request.Header
	remove(h, hopHeaders)
	delete(h, "Http2-Settings")
	if s.x.Upgrade != "" {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, s.r.Header["Upgrade"]
	}
	if trailers := httpguts.HeaderValuesContainsToken(h["Te"], "trailers"); trailers {
		h["Te"] = []string{"trailers"}
	} else {
		delete(h, "Te")
	}
	if referers := h["Referer"]; len(referers) > 1 || len(referers) == 1 && !absolute(referers[0]) {
		delete(h, "Referer")
	}
	scheme := "http"
	if s.c.TLS != nil {
		scheme = "https"
	}
	if s.m.useRemoteAddress {
		call.AppendForwardedFor(h, s.c.Remote.Addr())
		h["X-Forwarded-Proto"] = []string{scheme}
	} else if _, known := h["X-Forwarded-Proto"]; !known {
		h["X-Forwarded-Proto"] = []string{scheme}
	}
	if s.x.Request.Scheme == "" {
		s.x.Request.Scheme = schemeOf(h.Get("X-Forwarded-Proto"), scheme)
	}
	remove(h, internalHeaders)           // no address is internal
	delete(h, "X-Forwarded-Client-Cert") // forward_client_cert_details SANITIZE
	if s.m.useRemoteAddress {
		remove(h, edgeHeaders)
		h["X-Envoy-External-Address"] = []string{addressOf(s.c.Remote)}
	}
	if _, known := h["X-Request-Id"]; s.m.generateID && (!known || s.m.useRemoteAddress) {
		h["X-Request-Id"] = []string{uuid.NewString()}
	}
}

func addressOf(a netip.AddrPort) string { return a.Addr().Unmap().WithZone("").String() }

func schemeOf(forwarded, otherwise string) string {
	if forwarded = strings.ToLower(forwarded); forwarded == "http" || forwarded == "https" {
		return forwarded
	}
	return otherwise
}

// absolute says whether a referer is an absolute URL.
func absolute(referer string) bool {
	u, err := url.Parse(referer)
	return err == nil && u.Scheme != "" && u.Host != ""
}
