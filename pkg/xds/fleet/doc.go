// Package fleet knows what the nodes of all replicas have. Each replica reports the nodes that are connected to it through
// etcd, in two forms. A Report counts the nodes of a scope: it is small, written within a second and gone with its replica's
// lease, so that sums of Reports can be promised to users. An EnvoyNode, which clients of the API read, has the details of
// one node: there are many, so they are written within a budget, and may be late.
//
// The one invariant: what a replica has reported follows what is connected to it, whatever fails meanwhile, and nothing
// outlives its replica. What is reported is never the basis of what a node gets.
//
// A Store stands between the xDS cache and server, which tell it of what is connected, and whoever follows it:
//
//	store := fleet.New()
//	cache.OnDelivery(store.Delivered)
//	store.Follow(func(scope string, reports []fleet.Report) { ... })
//	store.Run(ctx, fleet.Config{Client: etcd, Prefix: fleet.Prefix(prefix), Replica: name, Nodes: xdsServer, Deliveries: cache, Objects: envoyNodes})
package fleet
