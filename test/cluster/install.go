package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	serverName    = "gateway-apiserver" // of the Deployment, the Service and the ServiceAccount
	etcdSecret    = "gateway-apiserver-etcd"
	servingSecret = "gateway-apiserver-ca"
)

// InstallOptions say how gateway-apiserver is installed. The zero value has two replicas and an etcd of their own.
type InstallOptions struct {
	// Namespace is "gateway-apiserver" by default.
	Namespace string
	// Flags are for the install command, besides those for etcd, the namespace and the port.
	Flags []string
	// Etcd are flags for the etcd that isn't embedded.
	Etcd []string
	// Serve are arguments for the replicas, after those of the Deployment, which may have $(POD_NAME) in them.
	Serve []string
}

// Installation is gateway-apiserver as its install command has put it into a cluster.
type Installation struct {
	Namespace string
	Replicas  []*Replica
	// Etcd is where the replicas store objects.
	Etcd *Etcd
	// Service is where the APIServices' port leads: to the replicas that are ready.
	Service *Link

	cluster *Cluster
	options InstallOptions
	balance sync.Mutex
}

// Install runs the install command as the administrator, and the replicas that it asks for. It returns when all of them
// are ready and kube-apiserver finds the APIServices available.
func (c *Cluster) Install(ctx context.Context, o InstallOptions) (*Installation, error) {
	if o.Namespace == "" {
		o.Namespace = serverName
	}
	i := &Installation{Namespace: o.Namespace, cluster: c, options: o}
	if _, err := Build(ctx, Server); err != nil {
		return nil, err
	}
	var err error
	if i.Etcd, err = c.StartEtcd(ctx, o.Namespace+"-etcd", o.Etcd...); err != nil {
		return nil, err
	}
	if i.Service, err = NewLink(); err != nil {
		return nil, err
	}
	c.AtEnd(func() error {
		i.Service.Close()
		return nil
	})
	c.AtEnd(i.Stop)
	if err := i.storeEtcdSecret(ctx); err != nil {
		return nil, err
	}
	return i, i.install(ctx)
}

// storeEtcdSecret does what an administrator does before installing with an etcd that asks for certificates.
func (i *Installation) storeEtcdSecret(ctx context.Context) error {
	if _, err := i.cluster.Kubectl(ctx, "create", "namespace", i.Namespace); err != nil {
		return err
	}
	_, err := i.cluster.Kubectl(ctx, "create", "secret", "generic", etcdSecret, "-n", i.Namespace,
		"--from-file=ca.crt="+i.Etcd.CA, "--from-file=tls.crt="+i.Etcd.Cert, "--from-file=tls.key="+i.Etcd.Key)
	return err
}

// install runs the command, which waits for the server, and what the cluster would run because of it.
func (i *Installation) install(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var errs []error
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := i.Command(ctx, append([]string{"install",
			"--etcd=" + i.Etcd.URL,
			"--etcd-secret=" + etcdSecret,
			"--service-port=" + strconv.Itoa(i.Service.Port),
		}, i.options.Flags...)...); err != nil {
			errs = append(errs, err)
			cancel(err)
		}
	})
	if err := i.run(ctx); err != nil {
		cancel(err)
		both.Wait()
		return errors.Join(append(errs, err)...)
	}
	both.Wait()
	return errors.Join(errs...)
}

// Command runs a command of gateway-apiserver as the administrator, with --namespace, and returns what it prints to
// stdout. The error has what it prints to stderr.
func (i *Installation) Command(ctx context.Context, args ...string) (string, error) {
	return i.cluster.command(ctx, serverName, "", append(slices.Clone(args), "--namespace="+i.Namespace)...)
}

// run does what the cluster does with a Deployment and a Service.
func (i *Installation) run(ctx context.Context) error {
	if err := i.redirectService(ctx); err != nil {
		return err
	}
	deployment, err := await(ctx, func(ctx context.Context) (*appsv1.Deployment, error) {
		return i.cluster.Clientset().AppsV1().Deployments(i.Namespace).Get(ctx, serverName, metav1.GetOptions{})
	})
	if err != nil {
		return err
	}
	for range *deployment.Spec.Replicas {
		replica, err := i.newReplica(ctx, len(i.Replicas), deployment.Spec.Template.Spec)
		if err != nil {
			return err
		}
		i.Replicas = append(i.Replicas, replica)
	}
	var starts sync.WaitGroup
	errs := make([]error, len(i.Replicas))
	for n, replica := range i.Replicas {
		starts.Go(func() { errs[n] = replica.Start(ctx) })
	}
	starts.Wait()
	return errors.Join(errs...)
}

// redirectService has kube-apiserver find our Service on this machine: there is no network of pods.
func (i *Installation) redirectService(ctx context.Context) error {
	services := i.cluster.Clientset().CoreV1().Services(i.Namespace)
	if _, err := await(ctx, func(ctx context.Context) (*corev1.Service, error) {
		return services.Get(ctx, serverName, metav1.GetOptions{})
	}); err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{
		"type":         corev1.ServiceTypeExternalName,
		"externalName": "localhost",
		"clusterIP":    nil,
		"clusterIPs":   nil,
	}})
	if err != nil {
		return err
	}
	_, err = services.Patch(ctx, serverName, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// CA is the certificate authority by which the replicas' serving certificates are verified.
func (i *Installation) CA(ctx context.Context) ([]byte, error) {
	secret, err := i.cluster.Clientset().CoreV1().Secrets(i.Namespace).Get(ctx, servingSecret, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return secret.Data[corev1.ServiceAccountRootCAKey], nil
}

// serverDNSName is what the replicas' serving certificates are for.
func (i *Installation) serverDNSName() string { return serverName + "." + i.Namespace + ".svc" }

// Published returns when kube-apiserver publishes what the server says of its kinds in OpenAPI, which it fetches after it
// has found the APIServices available. Until then kubectl validates objects by what it knows itself.
func (i *Installation) Published(ctx context.Context) error {
	ours := fmt.Sprintf(`{range .items[?(@.spec.service.namespace=="%s")]}{.spec.group}/{.spec.version}{"\n"}{end}`, i.Namespace)
	served, err := i.cluster.Kubectl(ctx, "get", "apiservices", "-o", "jsonpath="+ours)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, pollInterval, startTimeout, true, func(ctx context.Context) (bool, error) {
		published, err := i.cluster.Get(ctx, "/openapi/v3")
		for groupVersion := range strings.FieldsSeq(served) {
			if !strings.Contains(string(published), `"apis/`+groupVersion+`"`) {
				return false, err
			}
		}
		return true, err
	})
}

// setServing says whether the Service may lead to a replica.
func (i *Installation) setServing(replica *Replica, serving bool) {
	i.balance.Lock()
	defer i.balance.Unlock()
	replica.serving = serving
	var targets []string
	for _, r := range i.Replicas {
		if r.serving {
			targets = append(targets, r.Addr)
		}
	}
	i.Service.SetTargets(targets...)
}

// Stop stops the replicas that run, all at once, and returns what is wrong with how they end.
func (i *Installation) Stop() error {
	var stops sync.WaitGroup
	errs := make([]error, len(i.Replicas))
	for n, replica := range i.Replicas {
		stops.Go(func() { errs[n] = replica.Stop() })
	}
	stops.Wait()
	return errors.Join(errs...)
}

// await returns an object as soon as it is there.
func await[T any](ctx context.Context, get func(context.Context) (T, error)) (object T, err error) {
	waited := wait.PollUntilContextTimeout(ctx, pollInterval, startTimeout, true, func(ctx context.Context) (bool, error) {
		object, err = get(ctx)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if waited != nil {
		return object, fmt.Errorf("%w: %w", waited, errors.Join(err, context.Cause(ctx)))
	}
	return object, nil
}
