package conformance

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	nodeName      = "node-0"
	nodeIP        = "192.0.2.2" // nobody reaches it, and a loopback address would be refused
	retryInterval = 50 * time.Millisecond
)

// node does to pods what the scheduler and a kubelet do, as far as the API sees it. It runs no containers.
type node struct {
	client client.Client
	spared string // the namespace whose pods stay Pending
	pods   int    // that have an address
}

// startNode registers a node, and has it take the pods of all namespaces but one: what those stand for runs elsewhere.
func startNode(ctx context.Context, m manager.Manager, spared string) error {
	n := &node{client: m.GetClient(), spared: spared}
	if err := n.register(ctx); err != nil {
		return err
	}
	return builder.ControllerManagedBy(m).For(&corev1.Pod{}).Complete(n)
}

// register makes the Node, without which the EndpointSlice controller leaves its pods out.
func (n *node) register(ctx context.Context) error {
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{corev1.LabelHostname: nodeName}}}
	if err := n.client.Create(ctx, object); err != nil {
		return err
	}
	object.Status = corev1.NodeStatus{
		Addresses:   []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeIP}, {Type: corev1.NodeHostName, Address: nodeName}},
		Allocatable: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1000")},
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
			LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
		}},
	}
	return n.client.Status().Update(ctx, object)
}

// Reconcile takes a pod one step further: from unscheduled to scheduled, to Running and Ready; and from terminating to gone.
func (n *node) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	if request.Namespace == n.spared {
		return reconcile.Result{}, nil
	}
	pod := &corev1.Pod{}
	err := n.client.Get(ctx, request.NamespacedName, pod)
	switch {
	case err != nil:
	case pod.DeletionTimestamp != nil:
		err = n.client.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
	case pod.Spec.NodeName == "":
		err = n.client.SubResource("binding").Create(ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: nodeName}})
	case pod.Status.Phase == corev1.PodPending:
		n.pods++
		pod.Status = running(pod, fmt.Sprintf("10.244.%d.%d", n.pods/250, 1+n.pods%250))
		err = n.client.Status().Update(ctx, pod)
	}
	return again(ctx, client.IgnoreNotFound(err))
}

// again has what collided with another write tried again. When the test has ended, nothing matters any more.
func again(ctx context.Context, err error) (reconcile.Result, error) {
	switch {
	case ctx.Err() != nil:
		return reconcile.Result{}, nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return reconcile.Result{RequeueAfter: retryInterval}, nil
	}
	return reconcile.Result{}, err
}

// running is what a kubelet says of a pod whose containers all run, and are ready if they say when they are.
func running(pod *corev1.Pod, ip string) corev1.PodStatus {
	now := metav1.Now()
	status := *pod.Status.DeepCopy()
	status.Phase = corev1.PodRunning
	status.StartTime = &now
	status.HostIP, status.HostIPs = nodeIP, []corev1.HostIP{{IP: nodeIP}}
	status.PodIP, status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	status.Conditions = nil
	for _, condition := range []corev1.PodConditionType{
		corev1.PodScheduled, corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady,
	} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	started := true
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name:    container.Name,
			Image:   container.Image,
			Ready:   true,
			Started: &started,
			State:   corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	return status
}
