package hcm

import (
	"net/http"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/path"
)

// prepare refuses requests that no route gets, and brings others into the form in which routes see them. The order is that of
// ConnectionManagerImpl::ActiveStream::decodeHeaders.
func (s *stream) prepare() *filter.Reply {
	if reply := s.checkCodec(); reply != nil || s.aborted {
		return reply
	}
	if h := s.x.Request.Header; strings.EqualFold(h.Get("Expect"), "100-continue") {
		h.Del("Expect") // net/http has answered it when the first byte of the body was asked for: at once
	}
	switch {
	case !s.r.ProtoAtLeast(1, 1):
		s.close = true
		return &filter.Reply{Status: http.StatusUpgradeRequired, Details: "low_version"}
	case s.x.Request.Authority == "":
		return &filter.Reply{Status: http.StatusBadRequest, Details: "missing_host_header"}
	case s.x.Request.Path == "" && s.r.Method != http.MethodConnect:
		return &filter.Reply{Status: http.StatusNotFound, Details: "missing_path_rejected"}
	case s.x.Request.Path != "" && s.x.Request.Path[0] != '/':
		return &filter.Reply{Status: http.StatusNotFound, Details: "absolute_path_rejected"}
	}
	if reply := s.normalizePath(); reply != nil {
		return reply
	}
	s.mutateRequest()
	s.span = s.m.tracer.Start(s.x.Request.Header, s.x.Start)
	return nil
}

// checkCodec refuses what Envoy's codecs do. It aborts HTTP/2 streams: "HTTP/1 requests are rejected with the 400 status. HTTP/2
// requests end with the stream reset" (headers_with_underscores_action).
func (s *stream) checkCodec() *filter.Reply {
	h, http1 := s.x.Request.Header, s.r.ProtoMajor == 1
	refuse := func(status int, details string) *filter.Reply {
		if !http1 {
			s.abort("DPE", "http2."+details)
			return nil
		}
		s.close = true
		return &filter.Reply{Status: status, Body: http.StatusText(status), Flag: "DPE", Details: "http1." + details}
	}
	if underscored(h) {
		switch s.m.underscores {
		case corev3.HttpProtocolOptions_REJECT_REQUEST:
			return refuse(http.StatusBadRequest, "unexpected_underscore")
		case corev3.HttpProtocolOptions_DROP_HEADER:
			for name := range h {
				if strings.Contains(name, "_") {
					delete(h, name)
				}
			}
		}
	}
	pseudo := 1 // :authority, which is Host
	if !http1 {
		pseudo = 4 // with :method, :path and :scheme
	}
	if count(h)+pseudo > maxRequestHeadersCount {
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "too_many_headers")
	}
	if http1 {
		if !removeNominated(h) {
			return refuse(http.StatusBadRequest, "connection_header_rejected")
		}
		s.x.Upgrade = upgradeOf(h)
	}
	return nil
}

// normalizePath: see ConnectionManagerUtility::maybeNormalizePath.
func (s *stream) normalizePath() *filter.Reply {
	rejected := &filter.Reply{Status: http.StatusBadRequest, Details: "path_normalization_failed"}
	p := s.x.Request.Path
	switch {
	case p == "":
		return nil
	case strings.Contains(p, "#"):
		return rejected
	}
	redirect := false
	if unescaped := path.UnescapeSlashes(p); unescaped != p {
		switch s.m.escapedSlashes {
		case hcmv3.HttpConnectionManager_REJECT_REQUEST:
			return rejected
		case hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT:
			p, redirect = unescaped, true
		case hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD:
			p = unescaped
		}
	}
	if s.m.normalize {
		var ok bool
		if p, ok = path.Normalize(p); !ok {
			return rejected
		}
	}
	if s.m.mergeSlashes {
		p = path.MergeSlashes(p)
	}
	s.x.Request.Path = p
	switch {
	case redirect && s.grpc: // "gRPC clients do not support redirect"
		return rejected
	case redirect:
		return &filter.Reply{Status: http.StatusTemporaryRedirect, Details: "path_normalization_failed", Modify: func(h http.Header) {
			h.Set("Location", p)
		}}
	}
	return nil
}
