package cluster

import "context"

// Expect returns an installation that somebody else makes in the default namespace, with an install command that is given
// --service-port and the port of Service. Host runs what it makes.
func (c *Cluster) Expect() (*Installation, error) {
	i := &Installation{Namespace: serverName, cluster: c}
	var err error
	if i.Service, err = NewLink(); err != nil {
		return nil, err
	}
	c.AtEnd(func() error {
		i.Service.Close()
		return nil
	})
	c.AtEnd(i.Stop)
	return i, nil
}

// Host does what the cluster does with the Deployment that is installed, or with the StatefulSet if etcd is embedded, as
// soon as it is there. It returns when all replicas are ready.
func (i *Installation) Host(ctx context.Context, embedded bool) error {
	if embedded {
		return i.runMembers(ctx)
	}
	return i.run(ctx)
}
