package cluster

import (
	"context"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Standalone is a standalone server. It knows nothing of the cluster that it runs beside.
type Standalone struct {
	*Process
	// Admin is a client of it that may do anything.
	Admin *rest.Config
	// XDS is where it serves xDS, HOST:PORT.
	XDS string
}

// StartStandalone starts a standalone server with an empty folder of its own, which ends with the cluster.
func (c *Cluster) StartStandalone(ctx context.Context) (*Standalone, error) {
	if _, err := Build(ctx, Server); err != nil {
		return nil, err
	}
	api, xds, err := twoPorts()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(c.Dir, "standalone")
	s := &Standalone{XDS: "127.0.0.1:" + strconv.Itoa(xds)}
	s.Process, err = c.StartProcess(ctx, "standalone", serverName,
		func(ctx context.Context) error {
			config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(data, "admin.kubeconfig"))
			if err != nil {
				return err
			}
			config.QPS = -1 // no limit on the client's side
			s.Admin = config
			_, err = get(ctx, config, "/readyz")
			return err
		},
		"standalone",
		"--data-dir="+data,
		"--listen=127.0.0.1:"+strconv.Itoa(api),
		"--xds-listen="+s.XDS,
	)
	return s, err
}
