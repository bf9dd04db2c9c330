package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

// giveServers is what to do where replicas cannot be reached through kube-apiserver.
const giveServers = "name the replicas with --server=https://HOST:PORT, once for each, where this machine reaches them; \"kubectl port-forward\" may help"

// ParseServer reads the URL of a replica, or its HOST:PORT.
func ParseServer(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, fmt.Errorf("want https://HOST:PORT, for example https://127.0.0.1:6443")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// reach finds the replicas. What it returns ends the ways to them.
func (d *doctor) reach(ctx context.Context) (stop func()) {
	if len(d.Servers) > 0 {
		for _, s := range d.Servers {
			if u, err := ParseServer(s); err != nil {
				d.find(replicasCheck, NotChecked, giveServers, "%s: %v", s, err)
			} else {
				d.replicas = append(d.replicas, d.newReplica(ctx, s, u))
			}
		}
		return func() {}
	}
	pods, err := d.client.CoreV1().Pods(d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: install.PodSelector})
	if err != nil {
		d.find(replicasCheck, NotChecked, giveServers, "the pods cannot be listed: %v", err)
		return func() {}
	}
	done := make(chan struct{})
	running := 0
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil {
			continue
		}
		if !ready(pod) {
			d.find(replicasCheck, Failed, fmt.Sprintf("see \"kubectl describe pod -n %s %s\" and \"kubectl logs -n %[1]s %[2]s\"", pod.Namespace, pod.Name),
				"Pod %s is not ready: it is %s", pod.Name, phase(pod))
		}
		if pod.Status.Phase != corev1.PodRunning {
			continue
		}
		running++
		at, err := d.forward(ctx, pod, done)
		if err != nil {
			d.find(replicasCheck, NotChecked, giveServers, "Pod %s cannot be reached through kube-apiserver: %v", pod.Name, err)
			continue
		}
		d.replicas = append(d.replicas, d.newReplica(ctx, "Pod "+pod.Name, at))
	}
	if wanted := d.wanted(ctx); running < max(wanted, 1) {
		d.find(replicasCheck, Failed, fmt.Sprintf("see \"kubectl get deployments,statefulsets,pods,events -n %s\"; if the server runs elsewhere, %s", d.Namespace, giveServers),
			"%d pods of the server run in the namespace %s, of %d", running, d.Namespace, wanted)
	}
	return func() { close(done) }
}

// wanted is how many pods there should be. Whoever may list them may usually read this, too.
func (d *doctor) wanted(ctx context.Context) int {
	if deployment, err := d.client.AppsV1().Deployments(d.Namespace).Get(ctx, install.Name, metav1.GetOptions{}); err == nil && deployment.Spec.Replicas != nil {
		return int(*deployment.Spec.Replicas)
	}
	if set, err := d.client.AppsV1().StatefulSets(d.Namespace).Get(ctx, install.Name, metav1.GetOptions{}); err == nil && set.Spec.Replicas != nil {
		return int(*set.Spec.Replicas)
	}
	return 0
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// phase says what a pod does, as kubectl does: by what its container waits for.
func phase(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		if waiting := c.State.Waiting; waiting != nil {
			return strings.TrimSpace(waiting.Reason + " " + waiting.Message)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return string(pod.Status.Phase) + ", " + c.Message
		}
	}
	return string(pod.Status.Phase)
}

// forward returns where this machine reaches a pod, until done: on a port of the loopback interface, from which
// connections go through kube-apiserver.
func (d *doctor) forward(ctx context.Context, pod *corev1.Pod, done chan struct{}) (*url.URL, error) {
	port, err := securePort(pod)
	if err != nil {
		return nil, err
	}
	request := d.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward")
	dialer, err := portforward.NewSPDYOverWebsocketDialerForStreaming(request.URL(), d.config)
	if err != nil {
		return nil, err
	}
	opened := make(chan struct{})
	forwarder, err := portforward.NewOnAddressesForStreaming(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, done, opened, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-opened:
	case err := <-ended:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(timeout):
		return nil, errors.New("forwarding takes too long")
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[0].Local)))}, nil
}

func securePort(pod *corev1.Pod) (int32, error) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == install.SecurePortName {
				return p.ContainerPort, nil
			}
		}
	}
	return 0, fmt.Errorf("it has no port named %s", install.SecurePortName)
}
