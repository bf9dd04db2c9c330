package identity

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// Identity is who a client is.
type Identity struct {
	// Name is for people: the SPIFFE IDs of a certificate, or the user name of a token.
	Name string
	// Expires is when the client has to prove again who it is; zero if it isn't known.
	Expires time.Time

	holder holder
}

// holder says what an identity may read.
type holder interface {
	// holds returns nil if a grant is held. The error is a gRPC status.
	holds(ctx context.Context, g Grant) error
	// mesh returns nil if what all clients of the mesh have in common may be read.
	mesh(ctx context.Context) error
}

// Fleets knows which Gateways an EnvoyFleet has.
type Fleets interface {
	// FleetOf returns the EnvoyFleet of a Gateway, both as "namespace/name", or "".
	FleetOf(gateway string) string
}

// New returns an identity that holds some grants.
func New(name string, expires time.Time, grants ...Grant) *Identity {
	return &Identity{Name: name, Expires: expires, holder: certified{name: name, grants: grants}}
}

// Authorize returns nil if the identity may read a scope, and a gRPC status otherwise. The scope of an EnvoyFleet that merges its
// Gateways is granted as a whole only: it has the keys of all of them, those that join later too.
func (i *Identity) Authorize(ctx context.Context, scope string, fleets Fleets) error {
	kind, of := nodes.ParseScope(scope)
	switch kind {
	case nodes.OfGateway:
		return i.gateway(ctx, of, fleets)
	case nodes.OfFleet:
		return i.holds(ctx, Fleet, of)
	case nodes.OfSidecars:
		return i.holds(ctx, Sidecar, of)
	case nodes.OfProxyless:
		return i.holds(ctx, Proxyless, of)
	case nodes.OfMesh:
		return i.holder.mesh(ctx)
	}
	return status.Errorf(codes.PermissionDenied, "%s may not read %q", i.Name, scope)
}

// gateway allows a Gateway to who holds it, and to who holds its EnvoyFleet.
func (i *Identity) gateway(ctx context.Context, gateway string, fleets Fleets) error {
	err := i.holds(ctx, Gateway, gateway)
	if status.Code(err) != codes.PermissionDenied {
		return err
	}
	fleet := fleets.FleetOf(gateway)
	if fleet == "" {
		return err
	}
	switch fleetErr := i.holds(ctx, Fleet, fleet); status.Code(fleetErr) {
	case codes.PermissionDenied:
		return err // about what the node named
	default:
		return fleetErr
	}
}

func (i *Identity) holds(ctx context.Context, kind Kind, of string) error {
	g, err := NewGrant(kind, of)
	if err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	return i.holder.holds(ctx, g)
}

// certified holds what its certificate says.
type certified struct {
	name   string
	grants []Grant
}

func (c certified) holds(_ context.Context, g Grant) error {
	if slices.Contains(c.grants, g) {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "%s may not read the configuration of %s: give the node a certificate with the URI %s (gateway-apiserver xds-cert --%s %s)",
		c.name, g, g.URI(), g.Kind, g.of())
}

func (c certified) mesh(context.Context) error {
	if slices.ContainsFunc(c.grants, func(g Grant) bool { return g.Kind == Proxyless }) {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "%s may not read the configuration of the mesh, which nodes get that name no Gateway: name one in node.metadata[%q], or give the node a certificate for a namespace of the mesh (gateway-apiserver xds-cert --proxyless NAMESPACE)",
		c.name, nodes.GatewayKey)
}
