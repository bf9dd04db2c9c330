package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// Cluster is a control plane without nodes.
type Cluster struct {
	// Dir is where everything is kept, and Bin where the programs are.
	Dir, Bin string
	// Admin is a client of kube-apiserver that may do anything; Kubeconfig is a file for the same.
	Admin      *rest.Config
	Kubeconfig string

	Etcd              *Etcd
	APIServer         *Process
	ControllerManager *Process

	clusterCA, frontProxyCA, etcdCA *pki.CA
	url                             string // of kube-apiserver
	ends                            []func() error
}

// Start starts a cluster that ends with the test. Its controller manager runs the controllers that our kinds have to do
// with, and those that are named.
func Start(t testing.TB, controllers ...string) *Cluster {
	t.Helper()
	c, err := New(t.Context(), controllers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.End(t.Failed()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Run runs the tests of a package that share a cluster, for TestMain: prepare gets the cluster before they start. It
// returns the exit code.
func Run(m *testing.M, prepare func(context.Context, *Cluster) error) int {
	ctx := context.Background()
	c, err := New(ctx)
	if err == nil {
		if err = prepare(ctx, c); err != nil {
			err = errors.Join(err, c.End(true))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := c.End(code != 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// New is Start for callers that end the cluster themselves.
func New(ctx context.Context, controllers ...string) (*Cluster, error) {
	bin, err := Build(ctx, Kubernetes)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gateway-apiserver-cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, Bin: bin}
	if err := c.start(ctx, controllers); err != nil {
		return nil, errors.Join(err, c.End(true))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, controllers []string) error {
	if err := os.Mkdir(filepath.Join(c.Dir, "logs"), 0o700); err != nil {
		return err
	}
	if err := c.makeAuthorities(); err != nil {
		return err
	}
	etcd, err := c.StartEtcd(ctx, "etcd", "--unsafe-no-fsync")
	if err != nil {
		return err
	}
	c.Etcd = etcd
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	return c.startControllerManager(ctx, slices.Concat(ownControllers, controllers))
}

// AtEnd has something ended with the cluster, before what was started earlier.
func (c *Cluster) AtEnd(end func() error) { c.ends = append(c.ends, end) }

// End ends all that runs, the last first, and returns what is wrong with how it ended. After a failure the logs are kept.
func (c *Cluster) End(failed bool) error {
	var errs []error
	for _, end := range slices.Backward(c.ends) {
		errs = append(errs, end())
	}
	if err := errors.Join(errs...); err != nil || failed {
		kept := filepath.Join(os.TempDir(), filepath.Base(c.Dir)+"-logs")
		return errors.Join(err, os.Rename(filepath.Join(c.Dir, "logs"), kept), os.RemoveAll(c.Dir),
			fmt.Errorf("the logs of the cluster are in %s", kept))
	}
	return os.RemoveAll(c.Dir)
}

// StartProcess starts one of the programs that Build has built, and returns when it is ready; ready says what it waits for.
// It is killed when the cluster ends.
func (c *Cluster) StartProcess(ctx context.Context, name, program string, ready func(context.Context) error, args ...string) (*Process, error) {
	p := &Process{
		Name:  name,
		Log:   filepath.Join(c.Dir, "logs", name+".log"),
		path:  filepath.Join(c.Bin, program),
		dir:   c.Dir,
		args:  args,
		ready: ready,
	}
	c.AtEnd(p.Kill)
	return p, p.Start(ctx)
}

// Kubectl runs kubectl as the administrator, and returns what it prints to stdout. The error has what it prints to
// stderr.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlInput(ctx, "", args...)
}

// KubectlInput is Kubectl with an input.
func (c *Cluster) KubectlInput(ctx context.Context, input string, args ...string) (string, error) {
	return c.command(ctx, "kubectl", input, args...)
}

// command runs one of our programs as the administrator.
func (c *Cluster) command(ctx context.Context, program, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, program), args...)
	cmd.Dir = c.Dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir, "KUBECONFIG=" + c.Kubeconfig}
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// Clientset is the administrator's client for the kinds of Kubernetes.
func (c *Cluster) Clientset() *kubernetes.Clientset { return kubernetes.NewForConfigOrDie(c.Admin) }

// Get reads a path of kube-apiserver, as the administrator.
func (c *Cluster) Get(ctx context.Context, path string) ([]byte, error) {
	return get(ctx, c.Admin, path)
}

func get(ctx context.Context, config *rest.Config, path string) ([]byte, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return body, err
}
