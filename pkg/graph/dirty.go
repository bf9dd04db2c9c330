package graph

import (
	"maps"

	"k8s.io/apimachinery/pkg/types"
)

// Merge adds what is dirty in other to d.
func (d *Dirty) Merge(other Dirty) {
	merge(&d.Statuses, other.Statuses)
	merge(&d.Scopes, other.Scopes)
	merge(&d.VirtualHosts, other.VirtualHosts)
	merge(&d.MeshHosts, other.MeshHosts)
	d.Sidecars = d.Sidecars || other.Sidecars
	merge(&d.Backends, other.Backends)
	merge(&d.References, other.References)
	merge(&d.Fleets, other.Fleets)
	merge(&d.Infrastructure, other.Infrastructure)
}

func merge[K comparable](into *map[K]struct{}, from map[K]struct{}) {
	if len(from) == 0 {
		return
	}
	if *into == nil {
		*into = make(map[K]struct{}, len(from))
	}
	maps.Copy(*into, from)
}

func mark[K comparable](set *map[K]struct{}, key K) {
	if *set == nil {
		*set = map[K]struct{}{}
	}
	(*set)[key] = struct{}{}
}

func (d *Dirty) status(key Key)                        { mark(&d.Statuses, key) }
func (d *Dirty) scope(key Key)                         { mark(&d.Scopes, key) }
func (d *Dirty) virtualHost(key VirtualHostKey)        { mark(&d.VirtualHosts, key) }
func (d *Dirty) meshHost(key MeshHostKey)              { mark(&d.MeshHosts, key) }
func (d *Dirty) backend(key BackendKey)                { mark(&d.Backends, key) }
func (d *Dirty) reference(key Key)                     { mark(&d.References, key) }
func (d *Dirty) infrastructure(n types.NamespacedName) { mark(&d.Infrastructure, n) }
func (d *Dirty) gatewayStatus(n types.NamespacedName)  { d.status(gatewayKey(n)) }

// fleets marks EnvoyFleets that may have other Gateways, or nodes. One without a name is none.
func (d *Dirty) fleets(names ...types.NamespacedName) {
	for _, name := range names {
		if name.Name != "" {
			mark(&d.Fleets, name)
			d.status(fleetKey(name))
		}
	}
}

func listenerSetKey(name types.NamespacedName) Key {
	return Key{Kind: KindListenerSet, Namespace: name.Namespace, Name: name.Name}
}

func gatewayKey(name types.NamespacedName) Key {
	return Key{Kind: KindGateway, Namespace: name.Namespace, Name: name.Name}
}
