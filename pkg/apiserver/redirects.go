package apiserver

import (
	"net/http"
	"strings"
)

const openAPIV3Prefix = "/openapi/v3/"

// withoutRedirects answers a request for an OpenAPI document by the hash of an older one with the document of today.
// kube-openapi redirects to it, but no aggregated server may: kube-apiserver doesn't follow redirects, since a server could
// send it, with its credentials, anywhere (CVE-2022-3172).
func withoutRedirects(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		query := req.URL.Query()
		if !strings.HasPrefix(req.URL.Path, openAPIV3Prefix) || !query.Has("hash") {
			next.ServeHTTP(w, req)
			return
		}
		once := &redirectless{ResponseWriter: w}
		next.ServeHTTP(once, req)
		if !once.redirected {
			return
		}
		w.Header().Del("Location")
		again := req.Clone(req.Context())
		query.Del("hash")
		again.URL.RawQuery = query.Encode()
		next.ServeHTTP(w, again)
	})
}

// redirectless is a response of which a redirect is not sent.
type redirectless struct {
	http.ResponseWriter
	redirected bool
}

func (r *redirectless) WriteHeader(code int) {
	if r.redirected = code/100 == 3 && code != http.StatusNotModified; !r.redirected {
		r.ResponseWriter.WriteHeader(code)
	}
}

func (r *redirectless) Write(data []byte) (int, error) {
	if r.redirected {
		return len(data), nil
	}
	return r.ResponseWriter.Write(data)
}
