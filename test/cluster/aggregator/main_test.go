// Package aggregator tests a server behind kube-apiserver through the doors that users of a cluster have. All tests share
// one cluster.
package aggregator

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

var (
	kube      *cluster.Cluster
	installed *cluster.Installation
)

// auditPolicy is that of our replicas: writes to Gateways, with their bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  verbs: [create, update, patch, delete]
  resources: [{group: gateway.networking.k8s.io, resources: [gateways]}]
- level: None
`

func TestMain(m *testing.M) { os.Exit(cluster.Run(m, prepare)) }

func prepare(ctx context.Context, c *cluster.Cluster) (err error) {
	kube = c
	policy := filepath.Join(c.Dir, "gateway-audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	installed, err = c.Install(ctx, cluster.InstallOptions{Serve: []string{
		"--audit-policy-file=" + policy,
		"--audit-log-path=" + auditLog("$(POD_NAME)"),
	}})
	if err != nil {
		return err
	}
	return installed.Published(ctx)
}

// auditLog is the file with the audit events of a replica, one each line.
func auditLog(replica string) string { return filepath.Join(kube.Dir, "logs", replica+"-audit.log") }
