package filter

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// A Filter sees one request, and the response to it.
type Filter interface {
	// Decode is called with a request before it is routed to a cluster, and may change it. An answer ends the request there.
	Decode(x *Exchange) *Reply
	// Encode is called with the header of the response, whoever it is from, and may change it.
	Encode(x *Exchange, response http.Header)
}

// Exchange is a request that has a route, and what there is to know of it.
type Exchange struct {
	Context context.Context // ends with the request
	ID      uint64          // tells the requests of the process apart
	Start   time.Time       // when its header had come

	Request  *router.Request
	Match    *router.Match
	Protocol string // "HTTP/1.1", "HTTP/2"
	Upgrade  string // in lower case; empty if it is none
	Body     Body

	TLS           *tls.ConnectionState // nil on plaintext
	Local, Remote netip.AddrPort

	Clusters Clusters

	// Override is the address of the host to prefer, as "ip:port", if a filter knows one.
	Override string
	// Host is the address of the host that the request was sent to last; the zero value if it was sent to none.
	Host netip.AddrPort
}

// Clusters are what requests can be sent to.
type Clusters interface {
	// Cluster returns a cluster by its name; nil if there is none.
	Cluster(name string) *upstream.Cluster
}

// Body is the body of a request.
type Body interface {
	// Empty says that the header said that there is none.
	Empty() bool
	// Received is how many bytes of it have come.
	Received() int64
	// Buffer waits until all of the body is there, or more than limit bytes, and returns a copy of what is. The body stays to
	// be sent to a cluster.
	Buffer(ctx context.Context, limit int) (data []byte, err error)
}

// Reply is a response that isn't from a cluster (a "local reply").
type Reply struct {
	Status int
	Body   string
	// Modify changes the header, in which are the mutations of the route by then; or nil.
	Modify func(http.Header)
	// Plain says that it is sent as it is, to gRPC clients too, and without the mutations of the route.
	Plain bool
	// Flag is the response flag of access logs, as "UH"; or empty. Details are their RESPONSE_CODE_DETAILS.
	Flag, Details string
}
