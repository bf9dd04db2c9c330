//go:build linux

package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// operator does what somebody does who runs Envoys for Gateways: for each of the class, as soon as it has an address, it
// starts a data plane with the bootstrap that gateway-apiserver prints, and ends it when the Gateway is gone.
type operator struct {
	client client.Client
	kube   *cluster.Cluster // that ends after the operator
	xds    string           // where data planes reach gateway-apiserver, HOST:PORT
	dir    string           // of bootstraps
	logs   string           // the folder of their logs

	// Only Reconcile uses these, until its manager has ended.
	planes map[types.NamespacedName]*plane // the latest of each Gateway
	all    []*plane
}

// plane is the data plane of a Gateway.
type plane struct {
	*cluster.Process
	addresses []string      // of the Gateway
	ended     chan struct{} // closed when it has been ended; nil until somebody ends it
	err       error         // then: what was wrong with it
}

// startOperator has m follow the Gateways.
func startOperator(m manager.Manager, o *operator) error {
	o.client, o.planes = m.GetClient(), map[types.NamespacedName]*plane{}
	return builder.ControllerManagedBy(m).For(&gwv1.Gateway{}).Complete(o)
}

// Reconcile starts or ends the data plane of a Gateway.
func (o *operator) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	name := request.NamespacedName
	gateway := &gwv1.Gateway{}
	if err := o.client.Get(ctx, name, gateway); client.IgnoreNotFound(err) != nil {
		return again(ctx, err)
	} else if err != nil || gateway.DeletionTimestamp != nil {
		o.end(name)
		return reconcile.Result{}, nil
	}
	var addresses []string
	for _, address := range gateway.Status.Addresses {
		addresses = append(addresses, address.Value)
	}
	if gateway.Spec.GatewayClassName != className || len(addresses) == 0 {
		return reconcile.Result{}, nil
	}
	if p := o.planes[name]; p != nil && p.ended == nil {
		p.addresses = addresses
		return reconcile.Result{}, nil
	}
	if o.taken(addresses) {
		return reconcile.Result{RequeueAfter: retryInterval}, nil
	}
	return again(ctx, o.start(ctx, name, addresses))
}

// taken says whether an address is still that of a data plane which has not ended yet. Both could listen there: Envoys
// share their ports.
func (o *operator) taken(addresses []string) bool {
	for _, p := range o.all {
		if p.runs() && slices.ContainsFunc(p.addresses, func(a string) bool { return slices.Contains(addresses, a) }) {
			return true
		}
	}
	return false
}

func (p *plane) runs() bool {
	select {
	case <-p.ended: // a nil channel blocks
		return false
	default:
		return true
	}
}

// start starts a data plane. Its administration interface is at the Gateway's address, which is a loopback address.
func (o *operator) start(ctx context.Context, name types.NamespacedName, addresses []string) error {
	config, err := bootstrap(ctx, o.kube, "--gateway="+name.String(), "--xds-server="+o.xds, "--admin-address="+addresses[0]+":19000")
	if err != nil {
		return err
	}
	id := fileName(name)
	file := filepath.Join(o.dir, id+".yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	program, flags := dataPlane(o.kube.Bin)
	p := &plane{
		Process:   cluster.NewProcess(id, program, o.dir, o.logOf(name), append(flags, "-c", file)...),
		addresses: addresses,
	}
	if err := p.Start(ctx); err != nil {
		return err
	}
	o.planes[name] = p
	o.all = append(o.all, p)
	return nil
}

// end has the data plane of a Gateway end, if there is one that doesn't already.
func (o *operator) end(name types.NamespacedName) {
	p := o.planes[name]
	if p == nil || p.ended != nil {
		return
	}
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		if !p.Running() {
			p.err = fmt.Errorf("the data plane of %s ended by itself, see %s", name, p.Log)
			return
		}
		p.err = p.Stop()
	}()
}

// stop ends all data planes, and returns what was wrong with any.
func (o *operator) stop() error {
	for name := range o.planes {
		o.end(name)
	}
	var errs []error
	for _, p := range o.all {
		<-p.ended
		errs = append(errs, p.err)
	}
	return errors.Join(errs...)
}

// logOf is the file to which all data planes of a Gateway log.
func (o *operator) logOf(gateway types.NamespacedName) string {
	return filepath.Join(o.logs, fileName(gateway)+".log")
}

// fileName is a name for files of an object: neither part has an underscore.
func fileName(name types.NamespacedName) string { return name.Namespace + "_" + name.Name }

// envoy is the variable of the environment that says where a real Envoy is, to be run as the data plane.
const envoy = "ENVOY"

// dataPlane is the program that is run, and its flags but for the bootstrap.
func dataPlane(bin string) (string, []string) {
	if program := os.Getenv(envoy); program != "" {
		return program, []string{"--disable-hot-restart", "--concurrency", "2"}
	}
	return filepath.Join(bin, "testdataplane"), nil
}

// bootstrap is what the command of that name prints.
func bootstrap(ctx context.Context, kube *cluster.Cluster, flags ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(kube.Bin, "gateway-apiserver"), append([]string{"bootstrap"}, flags...)...)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("%v: %w: %s", cmd.Args, err, exit.Stderr)
	}
	return out, err
}
