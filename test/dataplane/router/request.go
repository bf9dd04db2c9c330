package router

import (
	"net/http"
	"strings"
)

// Request is what routes match and rewrite of a request.
type Request struct {
	Scheme    string      // "http" or "https": what the client says in HTTP/2 (:scheme), else X-Forwarded-Proto
	Method    string      // as it came
	Authority string      // the Host header or :authority, with its port if it has one
	Path      string      // with the query, after the normalisation that the connection manager does
	Header    http.Header // without Host and pseudo headers; with X-Forwarded-Proto, the scheme of the connection
	Random    uint64      // drawn once for each request: all fractions and weights are decided by it
}

// header returns a header's value; that of a header with several lines is their values with commas between them. The name is in
// canonical form, or that of a pseudo header in lower case. Envoy knows Host only as :authority.
func (r *Request) header(name string) (value string, ok bool) {
	switch name {
	case ":method":
		return r.Method, r.Method != ""
	case ":authority", "Host":
		return r.Authority, r.Authority != ""
	case ":path":
		return r.Path, r.Path != ""
	case ":scheme":
		return r.Scheme, r.Scheme != ""
	}
	values := r.Header[name]
	return strings.Join(values, ","), len(values) > 0
}

// pathOnly returns a path without its query and fragment.
func pathOnly(path string) string {
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		return path[:end]
	}
	return path
}

// queryParameters returns the parameters of a path's query, as they are written: Envoy decodes neither names nor values. Of a
// name that comes several times, the first value counts.
func queryParameters(path string) map[string]string {
	_, query, found := strings.Cut(path, "?")
	if !found {
		return nil
	}
	out := map[string]string{}
	for parameter := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(parameter, "=")
		if _, known := out[name]; !known {
			out[name] = value
		}
	}
	return out
}

// IsGRPC says whether the content type is "application/grpc", or that and a "+" and something.
func (r *Request) IsGRPC() bool {
	rest, ok := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return ok && (rest == "" || rest[0] == '+')
}
