//go:build linux

package node_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/netns"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node"
)

var kube *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(netns.Run(build, func() int { return run(m) }))
}

func build(ctx context.Context) error {
	_, err := cluster.Build(ctx, cluster.Kubernetes, cluster.Node, cluster.Echo)
	return err
}

// sidecarLabel is on Pods that get a sidecar.
const sidecarLabel = "sidecar"

func run(m *testing.M) int {
	ctx := context.Background()
	c, err := cluster.New(ctx, "deployment-controller", "replicaset-controller")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	kube = c
	echo := filepath.Join(c.Bin, "echo-advanced-standin")
	_, err = node.Start(ctx, c, node.Options{
		Images: map[string]node.Image{
			"registry.k8s.io/coredns/coredns": node.Program(filepath.Join(c.Bin, "coredns")),
			"test/echo":                       {Files: map[string]string{"/server": echo, "/client": echo}, Entrypoint: []string{"/server"}},
		},
		Inject: func(_ context.Context, p *corev1.Pod) (*node.Injection, error) {
			if p.Labels[sidecarLabel] == "" {
				return nil, nil
			}
			return &node.Injection{
				Env:   []corev1.EnvVar{{Name: "INJECTED", Value: p.Status.PodIP}},
				Files: map[string][]byte{"/etc/injected/file": []byte(p.Name)},
				Sidecar: &node.Sidecar{
					Image: "test/echo",
					Args:  []string{fmt.Sprintf("--tcp=%d", node.SidecarPort), "--port=18080", "--grpc=17070", "--version=sidecar"},
				},
			}, nil
		},
	})
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	if err := c.End(code != 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
