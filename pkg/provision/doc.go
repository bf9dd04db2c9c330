// Package provision runs Envoys in a cluster for the Gateways whose EnvoyFleet says so (GEP-1762): for each Gateway a
// ServiceAccount with a Role, a ConfigMap with the bootstrap, a Deployment, a PodDisruptionBudget if there is more than one replica,
// and a Service. [Objects] renders them and knows no cluster; [Provisioner] brings a cluster to that state by server-side
// apply.
//
// The one invariant: an object is changed or deleted only if a Gateway is its controller by its ownerReference, which no
// name and no label stands for. One of the same name that is somebody else's is reported, and stays as it is. The garbage
// collector of the cluster deletes what belongs to a Gateway that is gone.
//
// What somebody changes of the objects is changed back, but for the replicas of a Deployment that somebody has scaled, such
// as a HorizontalPodAutoscaler: from then on they are theirs to say.
//
// Labels and annotations of a Gateway's infrastructure are also those of the Pods, so that changing them replaces the Pods,
// one by one.
//
// An Envoy shows the xDS server a token of its ServiceAccount, by which it may read the configuration of its Gateway (a Role says
// so) and of no other. It verifies the server by a CA in the ConfigMap. When that changes, the Pods are replaced, and have the new
// one before the server shows a certificate of it, if the old one is trusted long enough.
package provision
