package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Replica is a process that runs as the pods of our Deployment do. It is started only when what is mounted is there.
type Replica struct {
	*Process
	// Addr is where it serves the API, and XDS where it serves xDS, HOST:PORT.
	Addr, XDS string
	// Cluster is its way to kube-apiserver, and Etcd that to an etcd which isn't embedded.
	Cluster, Etcd *Link

	installation *Installation
	serving      bool // it was ready, and was not told to stop
}

// newReplica does what a node does to start a pod's only container. What the container gets from the node is replaced:
// mounted volumes by folders, and the environment from which it would know kube-apiserver by a kubeconfig.
func (i *Installation) newReplica(ctx context.Context, number int, pod corev1.PodSpec) (*Replica, error) {
	c := i.cluster
	name := fmt.Sprintf("%s-%d", i.Namespace, number)
	api, xds, err := twoPorts()
	if err != nil {
		return nil, err
	}
	r := &Replica{
		Addr:         net.JoinHostPort("127.0.0.1", strconv.Itoa(api)),
		XDS:          net.JoinHostPort("127.0.0.1", strconv.Itoa(xds)),
		installation: i,
	}
	if r.Cluster, err = NewLink(strings.TrimPrefix(c.url, "https://")); err != nil {
		return nil, err
	}
	if i.Etcd != nil {
		if r.Etcd, err = NewLink(strings.TrimPrefix(i.Etcd.URL, "https://")); err != nil {
			r.Cluster.Close()
			return nil, err
		}
	}
	// A replica that is cut off from etcd doesn't stop before the requests have given up that wait for it.
	c.AtEnd(func() error {
		err := i.Stop()
		r.Cluster.Close()
		if r.Etcd != nil {
			r.Etcd.Close()
		}
		return err
	})
	account, err := c.ServiceAccount(ctx, i.Namespace, pod.ServiceAccountName)
	if err != nil {
		return nil, err
	}
	account.Host = "https://" + r.Cluster.Addr()
	kubeconfig, err := c.WriteKubeconfig(name, account)
	if err != nil {
		return nil, err
	}
	container := pod.Containers[0]
	mounts, err := i.mount(ctx, name, pod.Volumes, container.VolumeMounts)
	if err != nil {
		return nil, err
	}
	env := []string{"TMPDIR=" + c.Dir}
	variables := []string{}
	for _, v := range container.Env {
		value, err := environment(v, map[string]string{"metadata.name": name, "metadata.namespace": i.Namespace, "status.podIP": "127.0.0.1"})
		if err != nil {
			return nil, err
		}
		env = append(env, v.Name+"="+value)
		variables = append(variables, "$("+v.Name+")", value)
	}
	var args []string
	for _, arg := range append(container.Command[1:], container.Args...) {
		if r.Etcd != nil && strings.HasPrefix(arg, "--etcd-servers=") {
			arg = "--etcd-servers=https://" + r.Etcd.Addr()
		}
		args = append(args, translate(arg, mounts))
	}
	r.Process = &Process{
		Name: name,
		Log:  filepath.Join(c.Dir, "logs", name+".log"),
		path: filepath.Join(c.Bin, serverName),
		args: slices.Concat(args, []string{
			"--kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1",
			"--secure-port=" + strconv.Itoa(api),
			"--xds-listen=" + r.XDS,
			"--shutdown-delay-duration=1s", // no network of pods has to notice
		}, i.options.Serve),
		env:   env,
		dir:   c.Dir,
		ready: r.probe(container.ReadinessProbe),
	}
	expand := strings.NewReplacer(variables...)
	for n, arg := range r.args {
		r.args[n] = expand.Replace(arg)
	}
	return r, nil
}

// Start starts the replica, and has the Service lead to it when it is ready.
func (r *Replica) Start(ctx context.Context) error {
	if err := r.Process.Start(ctx); err != nil {
		return err
	}
	r.installation.setServing(r, true)
	return nil
}

// Stop ends the replica as a node does: the Service leads elsewhere while it ends.
func (r *Replica) Stop() error {
	r.installation.setServing(r, false)
	return r.Process.Stop()
}

// Kill ends the replica with SIGKILL. The Service notices by its refusing connections.
func (r *Replica) Kill() error { return r.Process.Kill() }

// Direct returns a client for this replica, not by way of kube-apiserver, with the credentials of another client.
func (r *Replica) Direct(ctx context.Context, credentials *rest.Config) (*rest.Config, error) {
	ca, err := r.installation.CA(ctx)
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(credentials)
	config.Host = "https://" + r.Addr
	config.TLSClientConfig.CAData = ca
	config.TLSClientConfig.ServerName = r.installation.serverDNSName()
	return config, nil
}

// probe asks what the readiness probe asks, without credentials.
func (r *Replica) probe(probe *corev1.Probe) func(context.Context) error {
	return func(ctx context.Context) error {
		config, err := r.Direct(ctx, &rest.Config{})
		if err != nil {
			return err
		}
		_, err = get(ctx, config, probe.HTTPGet.Path)
		return err
	}
}

// environment returns the value of a variable; fields are those of the pod.
func environment(v corev1.EnvVar, fields map[string]string) (string, error) {
	if v.ValueFrom == nil {
		return v.Value, nil
	}
	if v.ValueFrom.FieldRef != nil {
		if value, ok := fields[v.ValueFrom.FieldRef.FieldPath]; ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("variable %s: the harness knows no %v", v.Name, v.ValueFrom)
}

// translate returns a flag whose value, if it is in a volume, is in the volume's folder. mounts has the folders by the paths
// where they are mounted.
func translate(arg string, mounts map[string]string) string {
	flag, value, _ := strings.Cut(arg, "=")
	for path, dir := range mounts {
		if rest, ok := strings.CutPrefix(value, path); ok && (rest == "" || rest[0] == '/') {
			return flag + "=" + dir + rest
		}
	}
	return arg
}

// mount makes a folder for each volume, and returns the folders by the paths where they are mounted.
func (i *Installation) mount(ctx context.Context, replica string, volumes []corev1.Volume, mounts []corev1.VolumeMount) (map[string]string, error) {
	dirs := map[string]string{}
	for _, volume := range volumes {
		dir := filepath.Join(i.cluster.Dir, replica+"-"+volume.Name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		dirs[volume.Name] = dir
		switch {
		case volume.EmptyDir != nil:
		case volume.Secret != nil:
			secret, err := i.cluster.Clientset().CoreV1().Secrets(i.Namespace).Get(ctx, volume.Secret.SecretName, metav1.GetOptions{})
			if err != nil {
				return nil, err
			}
			for key, value := range secret.Data {
				if err := os.WriteFile(filepath.Join(dir, key), value, 0o600); err != nil {
					return nil, err
				}
			}
		default:
			return nil, fmt.Errorf("volume %s: the harness has no such volumes", volume.Name)
		}
	}
	mounted := map[string]string{}
	for _, m := range mounts {
		dir, ok := dirs[m.Name]
		if !ok {
			return nil, errors.New("no volume is named " + m.Name)
		}
		mounted[m.MountPath] = dir
	}
	return mounted, nil
}
