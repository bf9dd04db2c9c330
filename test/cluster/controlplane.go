package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// ServiceCIDR has the cluster IPs of Services.
const ServiceCIDR = "10.96.0.0/16"

// kubeletClientName is the name in the certificate that kube-apiserver shows kubelets.
const kubeletClientName = "kube-apiserver-kubelet-client"

// FrontProxyName is the name in the certificate with which kube-apiserver passes its users on.
const FrontProxyName = "front-proxy-client"

// Etcd is a process, and how clients reach it.
type Etcd struct {
	*Process
	URL string
	// CA, Cert and Key are the files for a client.
	CA, Cert, Key string
}

// StartEtcd starts an etcd with an empty folder of its own.
func (c *Cluster) StartEtcd(ctx context.Context, name string, flags ...string) (*Etcd, error) {
	server, err := c.issueServer(c.etcdCA, name)
	if err != nil {
		return nil, err
	}
	certPEM, keyPEM, err := c.etcdCA.IssueClient(name + "-client")
	client, err := c.write(name+"-client", certPEM, keyPEM, err)
	if err != nil {
		return nil, err
	}
	clients, peers, err := twoPorts()
	if err != nil {
		return nil, err
	}
	e := &Etcd{
		URL:  "https://127.0.0.1:" + strconv.Itoa(clients),
		CA:   c.caFile("etcd-ca"),
		Cert: client.cert,
		Key:  client.key,
	}
	peer := "http://127.0.0.1:" + strconv.Itoa(peers) // of a member that has none
	e.Process, err = c.StartProcess(ctx, name, "etcd", e.healthy, append([]string{
		"--name", name,
		"--data-dir", filepath.Join(c.Dir, name),
		"--listen-client-urls", e.URL,
		"--advertise-client-urls", e.URL,
		"--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer,
		"--initial-cluster", name + "=" + peer,
		"--cert-file", server.cert,
		"--key-file", server.key,
		"--trusted-ca-file", e.CA,
		"--client-cert-auth",
		"--enable-grpc-gateway=false",
	}, flags...)...)
	return e, err
}

func (e *Etcd) healthy(ctx context.Context) error {
	_, err := get(ctx, &rest.Config{
		Host:            e.URL,
		TLSClientConfig: rest.TLSClientConfig{CAFile: e.CA, CertFile: e.Cert, KeyFile: e.Key},
	}, "/health")
	return err
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	port, err := FreePort()
	if err != nil {
		return err
	}
	c.url = "https://127.0.0.1:" + strconv.Itoa(port)
	if c.Admin, err = c.User("admin", masters); err != nil {
		return err
	}
	if c.Kubeconfig, err = c.WriteKubeconfig("admin", c.Admin); err != nil {
		return err
	}
	serving, err := c.issueServer(c.clusterCA, "kube-apiserver")
	if err != nil {
		return err
	}
	certPEM, keyPEM, err := c.frontProxyCA.IssueClient(FrontProxyName)
	proxy, err := c.write(FrontProxyName, certPEM, keyPEM, err)
	if err != nil {
		return err
	}
	certPEM, keyPEM, err = c.clusterCA.IssueClient(kubeletClientName)
	kubelets, err := c.write(kubeletClientName, certPEM, keyPEM, err)
	if err != nil {
		return err
	}
	// Any key pair signs the tokens of ServiceAccounts.
	tokens, err := c.issueServer(c.clusterCA, "service-accounts")
	if err != nil {
		return err
	}
	policy := filepath.Join(c.Dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	c.APIServer, err = c.StartProcess(ctx, "kube-apiserver", "kube-apiserver", c.ready,
		"--bind-address=127.0.0.1",
		"--secure-port="+strconv.Itoa(port),
		// Nobody reaches it there: an address must be advertised, and a loopback address may not be.
		"--advertise-address=192.0.2.1",
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range="+ServiceCIDR,
		"--tls-cert-file="+serving.cert, "--tls-private-key-file="+serving.key,
		"--client-ca-file="+c.caFile("kubernetes-ca"),
		"--kubelet-certificate-authority="+c.caFile("kubernetes-ca"),
		"--kubelet-client-certificate="+kubelets.cert, "--kubelet-client-key="+kubelets.key,
		"--kubelet-preferred-address-types=InternalIP",
		"--authorization-mode=RBAC",
		"--etcd-servers="+c.Etcd.URL,
		"--etcd-cafile="+c.Etcd.CA, "--etcd-certfile="+c.Etcd.Cert, "--etcd-keyfile="+c.Etcd.Key,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file="+tokens.key, "--service-account-key-file="+tokens.key,
		"--requestheader-client-ca-file="+c.caFile("front-proxy-ca"),
		"--requestheader-allowed-names="+FrontProxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-uid-headers=X-Remote-Uid",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+proxy.cert, "--proxy-client-key-file="+proxy.key,
		"--enable-aggregator-routing=false",
		"--audit-policy-file="+policy,
		"--audit-log-path="+c.AuditLog(),
		"--profiling=false",
	)
	return err
}

// auditPolicy has kube-apiserver log which Secrets and ConfigMaps are read.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources: [{group: "", resources: [secrets, configmaps]}]
- level: None
`

// AuditLog is the file in which kube-apiserver logs who reads Secrets and ConfigMaps, one event a line.
func (c *Cluster) AuditLog() string { return filepath.Join(c.Dir, "logs", "kube-apiserver-audit.log") }

func (c *Cluster) ready(ctx context.Context) error {
	_, err := c.Get(ctx, "/readyz")
	return err
}

// ownControllers are those that our kinds or the tests have to do with.
var ownControllers = []string{
	"clusterrole-aggregation-controller",
	"endpointslice-controller",
	"garbage-collector-controller",
	"namespace-controller",
	"resourcequota-controller",
	"root-ca-certificate-publisher-controller",
	"serviceaccount-controller",
}

func (c *Cluster) startControllerManager(ctx context.Context, controllers []string) error {
	user, err := c.User("system:kube-controller-manager")
	if err != nil {
		return err
	}
	kubeconfig, err := c.WriteKubeconfig("kube-controller-manager", user)
	if err != nil {
		return err
	}
	port, err := FreePort()
	if err != nil {
		return err
	}
	serving, err := c.issueServer(c.clusterCA, "kube-controller-manager")
	if err != nil {
		return err
	}
	c.ControllerManager, err = c.StartProcess(ctx, "kube-controller-manager", "kube-controller-manager",
		func(ctx context.Context) error {
			_, err := get(ctx, &rest.Config{
				Host:            "https://127.0.0.1:" + strconv.Itoa(port),
				TLSClientConfig: rest.TLSClientConfig{CAData: c.clusterCA.PEM()},
			}, "/healthz")
			return err
		},
		"--bind-address=127.0.0.1",
		"--secure-port="+strconv.Itoa(port),
		"--tls-cert-file="+serving.cert, "--tls-private-key-file="+serving.key,
		"--kubeconfig="+kubeconfig,
		"--authentication-kubeconfig="+kubeconfig,
		"--authorization-kubeconfig="+kubeconfig,
		"--use-service-account-credentials",
		"--root-ca-file="+c.caFile("kubernetes-ca"),
		"--leader-elect=false",
		"--controllers="+strings.Join(controllers, ","),
	)
	return err
}

func (c *Cluster) issueServer(ca *pki.CA, name string) (keyPair, error) {
	certPEM, keyPEM, err := ca.IssueServer(name, loopbackNames, loopbackIPs)
	return c.write(name, certPEM, keyPEM, err)
}

func twoPorts() (int, int, error) {
	one, err := FreePort()
	if err != nil {
		return 0, 0, err
	}
	two, err := FreePort()
	if err == nil && one == two {
		err = fmt.Errorf("port %d was found twice", one)
	}
	return one, two, err
}
