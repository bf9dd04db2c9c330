package hcm

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/grpc/codes"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
)

// response is what is sent to the client.
type response struct {
	http.ResponseWriter
	control  *http.ResponseController
	status   int // 0 until the header is sent
	sent     int64
	hijacked bool
}

// write sends a part of the body at once.
func (w *response) write(part []byte) error {
	n, err := w.ResponseWriter.Write(part)
	w.sent += int64(n)
	if err != nil {
		return err
	}
	return w.control.Flush()
}

// reply sends a response that isn't from a cluster: see Utility::prepareLocalReply. If a response has begun, all that is left is
// to break it.
func (s *stream) reply(r *filter.Reply) {
	if s.w.status != 0 {
		s.abort(r.Flag, r.Details)
		return
	}
	s.note(r.Flag, r.Details)
	h := http.Header{}
	if s.match != nil && s.match.Forward != nil && !r.Plain {
		s.match.MutateResponse(h)
	}
	if r.Modify != nil {
		r.Modify(h)
	}
	status, body := r.Status, r.Body
	switch {
	case r.Plain:
	case s.grpc:
		status, body = http.StatusOK, s.grpcError(h, status, body)
	case body != "":
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if h.Get("Content-Type") == "" {
			h.Set("Content-Type", "text/plain")
		}
	default:
		h.Del("Content-Length")
		h.Del("Content-Type")
	}
	s.start(status, h, body == "")
	if body != "" && s.r.Method != http.MethodHead {
		if err := s.w.write([]byte(body)); err != nil {
			s.abort("DC", "downstream_remote_disconnect")
		}
	}
}

// grpcError makes a header tell a gRPC client of an error. There is no body then.
func (s *stream) grpcError(h http.Header, status int, body string) string {
	h.Set("Content-Type", "application/grpc")
	if h.Get("Grpc-Status") == "" {
		h.Set("Grpc-Status", strconv.Itoa(int(grpcStatus(status))))
	}
	if body != "" && s.r.Method != http.MethodHead {
		h.Set("Grpc-Message", percentEncode(body))
	}
	h.Del("Content-Length")
	return ""
}

// grpcStatus is the mapping of https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md.
func grpcStatus(status int) codes.Code {
	switch status {
	case http.StatusBadRequest:
		return codes.Internal
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.Unimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codes.Unavailable
	}
	return codes.Unknown
}

// percentEncode encodes a grpc-message.
func percentEncode(message string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for _, c := range []byte(message) {
		if c < ' ' || c > '~' || c == '%' {
			out.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// start sends the header of the response, after the filters have seen it. h is not used by anybody else.
func (s *stream) start(status int, h http.Header, last bool) {
	s.completeHeader(h)
	out := s.w.Header()
	for name, values := range h {
		out[name] = values
	}
	// What isn't there, net/http would guess.
	if _, known := h["Content-Type"]; !known {
		out["Content-Type"] = nil
	}
	if _, known := h["Content-Length"]; !known && s.r.ProtoMajor == 2 {
		out["Content-Length"] = nil
	}
	s.w.status, s.entry.ResponseHeader = status, h
	s.idle.touch()
	s.w.WriteHeader(status)
	if !last {
		_ = s.w.control.Flush() // an error comes with the next write, too
	}
}

// completeHeader has the filters encode a header, the last one first, and does what the connection manager does after that.
func (s *stream) completeHeader(h http.Header) {
	for _, f := range slices.Backward(s.filters) {
		f.Encode(&s.x, h)
	}
	remove(h, hopHeaders)
	switch s.m.serverHeader {
	case hcmv3.HttpConnectionManager_OVERWRITE:
		h["Server"] = []string{defaultServerName}
	case hcmv3.HttpConnectionManager_APPEND_IF_ABSENT:
		if len(h["Server"]) == 0 {
			h["Server"] = []string{defaultServerName}
		}
	}
	// Of HTTP/2, net/http makes a GOAWAY of it. A connection whose request is still coming can have no other one.
	if s.close || s.m.draining.Load() || s.r.ProtoMajor == 1 && !s.body.complete() {
		h["Connection"] = []string{"close"}
	}
}
