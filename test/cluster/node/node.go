//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/netns"
)

const nodeName = "node-0"

var (
	// Address is the node's own: where kube-apiserver reaches it, and where its connections to Pods come from.
	Address = netip.MustParseAddr("10.244.0.1")
	// DNS is where the cluster's DNS answers, by UDP and TCP. /etc/resolv.conf leads there, in Pods and for the test.
	DNS = netip.MustParseAddr("10.96.0.10")
)

// Node is a node that runs.
type Node struct {
	options Options
	client  kubernetes.Interface
	logger  *slog.Logger
	init    string // the program containerinit
	dir     string // of the files of Pods, which are in memory
	logs    string // folder of the containers' logs
	running context.Context
	proxy   *proxy
	all     sync.WaitGroup // what has to end with it

	mu   sync.Mutex
	pods map[types.UID]*pod // those that the API has
	last netip.Addr         // that a Pod got
}

// Start starts the only node of a cluster, which ends with the cluster. Build has built Kubernetes and Node. Addresses of
// Pods are in 10.244.0.0/16; each is that of one Pod, ever. The logs of containers are kept with those of the cluster, in
// the folder pods, as NAMESPACE_POD_CONTAINER.RESTARTS.log.
func Start(ctx context.Context, c *cluster.Cluster, o Options) (*Node, error) {
	if !netns.Inside() {
		return nil, errors.New("a node changes the network that it is in, which has to be one of package netns")
	}
	n := &Node{
		options: o, client: c.Clientset(), logger: o.Logger, init: filepath.Join(c.Bin, "containerinit"),
		dir: filepath.Join(c.Dir, "node"), logs: filepath.Join(c.Dir, "logs", "pods"), pods: map[types.UID]*pod{}, last: Address,
	}
	if n.logger == nil {
		n.logger = slog.Default()
	}
	var stop context.CancelFunc
	n.running, stop = context.WithCancel(context.Background())
	c.AtEnd(func() error {
		stop()
		n.all.Wait()
		return unix.Unmount(n.dir, unix.MNT_DETACH)
	})
	if err := n.makeFolders(); err != nil {
		return nil, err
	}
	if err := setUpNetwork(); err != nil {
		return nil, fmt.Errorf("network of the node: %w", err)
	}
	if err := n.startDNS(ctx, c); err != nil {
		return nil, err
	}
	serving, err := c.KubeletTLS(net.IP(Address.AsSlice()))
	if err != nil {
		return nil, err
	}
	end, err := n.serveKubelet(serving)
	if err != nil {
		return nil, err
	}
	c.AtEnd(end)
	if err := n.register(ctx); err != nil {
		return nil, err
	}
	return n, n.follow(ctx)
}

// makeFolders has what Pods' files have in them, such as keys, be in memory.
func (n *Node) makeFolders() error {
	for _, dir := range []string{n.dir, n.logs} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return unix.Mount("tmpfs", n.dir, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, "mode=0700")
}

// setUpNetwork gives the network namespace the node's address and all cluster IPs.
func setUpNetwork() error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(loopback, &netlink.Addr{IPNet: only(Address)}); err != nil {
		return err
	}
	// What goes to a cluster IP but to no endpoint is refused, as nobody listens.
	if err := netns.Own(netip.MustParsePrefix(cluster.ServiceCIDR), Address); err != nil {
		return err
	}
	// A node before this one may have left rules.
	if err := program(nil); err != nil {
		return err
	}
	for _, of := range []string{"all", "default"} {
		// A Pod that reaches itself by a cluster IP would be told to go there directly.
		if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4/conf", of, "send_redirects"), []byte("0"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// register tells the API of the node.
func (n *Node) register(ctx context.Context) error {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1000"), corev1.ResourceMemory: resource.MustParse("1Ti"), corev1.ResourcePods: resource.MustParse("1000"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{
			corev1.LabelHostname: nodeName, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH,
		}},
	}
	made, err := n.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	made.Status = corev1.NodeStatus{
		Capacity: capacity, Allocatable: capacity,
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: Address.String()}, {Type: corev1.NodeHostName, Address: nodeName},
		},
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Started", LastTransitionTime: metav1.Now(), LastHeartbeatTime: metav1.Now(),
		}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: kubeletPort}},
		NodeInfo:        corev1.NodeSystemInfo{OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH},
	}
	_, err = n.client.CoreV1().Nodes().UpdateStatus(ctx, made, metav1.UpdateOptions{})
	return err
}

// follow has Pods and Services do what the API says, from now on.
func (n *Node) follow(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(n.client, 0)
	services, ends := factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices()
	n.proxy = &proxy{services: services.Lister(), slices: ends.Lister(), changed: make(chan struct{}, 1)}
	changed := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { n.proxy.notice() },
		UpdateFunc: func(any, any) { n.proxy.notice() },
		DeleteFunc: func(any) { n.proxy.notice() },
	}
	for _, informer := range []cache.SharedIndexInformer{services.Informer(), ends.Informer()} {
		if _, err := informer.AddEventHandler(changed); err != nil {
			return err
		}
	}
	if _, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { n.see(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { n.see(o.(*corev1.Pod)) },
		DeleteFunc: n.miss,
	}); err != nil {
		return err
	}
	factory.Start(n.running.Done())
	n.all.Go(func() {
		<-n.running.Done()
		factory.Shutdown()
	})
	for informer, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("%s were not read: %w", informer, context.Cause(ctx))
		}
	}
	n.all.Go(func() {
		n.proxy.run(n.running, func(err error) { n.logger.Error("Services", "err", err) })
	})
	return nil
}

// see takes notice of a Pod.
func (n *Node) see(object *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p, ok := n.pods[object.UID]; ok {
		p.update(object)
		return
	}
	if object.Spec.NodeName != "" && object.Spec.NodeName != nodeName || object.Spec.NodeName == "" && object.DeletionTimestamp != nil {
		return
	}
	if n.options.Spare != nil && n.options.Spare(object) || n.running.Err() != nil {
		return
	}
	p := newPod(n, object)
	n.pods[object.UID] = p
	n.all.Go(func() { p.run(n.running) })
}

// miss takes notice that a Pod is gone.
func (n *Node) miss(o any) {
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = unknown.Obj
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	uid := o.(*corev1.Pod).UID
	if p, ok := n.pods[uid]; ok {
		p.vanish()
		delete(n.pods, uid)
	}
}

// podNamed returns the Pod of a name, or nil.
func (n *Node) podNamed(namespace, name string) *pod {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.pods {
		if p.key.Namespace == namespace && p.key.Name == name {
			return p
		}
	}
	return nil
}

// address returns one that no Pod has had.
func (n *Node) address() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = n.last.Next()
	return n.last
}
