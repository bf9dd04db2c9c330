// Package provision runs Envoys in a cluster for the Gateways whose EnvoyFleet says so (GEP-1762): for each Gateway a
// ServiceAccount, a ConfigMap with the bootstrap, a Deployment, a PodDisruptionBudget if there is more than one replica,
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
// What doesn't work yet: the server offers xDS on the loopback interface of its own Pod only, because streams aren't
// authenticated, and there is no Service with a port for it. So the Envoys run, and wait: they aren't Ready, since they
// get no configuration. The bootstrap names the server's Service, and verifies the server by the CA that it is given; what is
// missing is the port, that the server gives its CA, and a certificate by which an Envoy shows whose it is.
package provision
