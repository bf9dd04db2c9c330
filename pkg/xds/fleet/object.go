package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

// What nodes say of themselves is cut to these lengths, in bytes.
const (
	maxText    = 256
	maxMessage = 1024
)

// maxListed is how many acknowledged types and rejected resources are listed.
const maxListed = 16

// statusOf returns what an EnvoyNode says.
func statusOf(replica string, info server.NodeInfo) fleetv1alpha1.EnvoyNodeStatus {
	status := fleetv1alpha1.EnvoyNodeStatus{
		NodeID:         info.ID,
		Cluster:        info.Cluster,
		Identity:       server.Printable(info.Identity, maxMessage),
		Scope:          info.Scope,
		Version:        server.Printable(info.Version, maxText),
		Protocol:       info.Protocol,
		Replica:        replica,
		ConnectedSince: metav1.NewMicroTime(info.Since.Truncate(time.Microsecond)),
		Current:        info.Current,
		Rejections:     int32(len(info.Rejected)),
	}
	if gateway, ok := strings.CutPrefix(info.Scope, "gateway/"); ok {
		status.Gateway = gateway
	}
	if fleet, ok := strings.CutPrefix(info.Scope, "fleet/"); ok {
		status.Fleet = fleet
	}
	for _, typeURL := range slices.Sorted(maps.Keys(info.Acknowledged)) {
		if len(status.Acknowledged) < maxListed {
			status.Acknowledged = append(status.Acknowledged, fleetv1alpha1.AcknowledgedResources{Type: cache.TypeName(typeURL), Version: info.Acknowledged[typeURL]})
		}
	}
	for _, rejected := range info.Rejected {
		if len(status.Rejected) < maxListed {
			status.Rejected = append(status.Rejected, fleetv1alpha1.RejectedResource{
				Type: cache.TypeName(rejected.Name.TypeURL), Name: rejected.Name.Name, Version: rejected.Version, Message: server.Printable(rejected.Message, maxMessage),
			})
		}
	}
	return status
}

// alike says whether two states of a node differ in nothing but what it has acknowledged.
func alike(a, b server.NodeInfo) bool {
	return a.Cluster == b.Cluster && a.Identity == b.Identity && a.Version == b.Version && a.Protocol == b.Protocol &&
		a.Since.Equal(b.Since) && slices.Equal(a.Rejected, b.Rejected)
}

// names returns the names that the EnvoyNode of a node can have, the first of which that no other node has is its own. It is
// the id, if an object can be called so and no other scope has a node of that id.
func names(n node) []string {
	sum := sha256.Sum256([]byte(n.scope + "\x00" + n.id))
	long := sanitized(n.id) + "-" + hex.EncodeToString(sum[:4])
	if len(validation.IsDNS1123Subdomain(n.id)) > 0 {
		return []string{long}
	}
	return []string{n.id, long}
}

// sanitized makes the beginning of an object's name of an id.
func sanitized(id string) string {
	words := strings.FieldsFunc(strings.ToLower(id), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	name := strings.Join(words, "-")
	if len(name) > 200 {
		name = strings.TrimRight(name[:200], "-")
	}
	if name == "" {
		return "node"
	}
	return name
}
