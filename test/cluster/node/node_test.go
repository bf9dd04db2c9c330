//go:build linux

package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node"
)

// eventually returns when there is no error any more.
func eventually(t *testing.T, what func(context.Context) error) {
	t.Helper()
	var last error
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = what(ctx)
		return last == nil, nil
	}); err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}

// apply makes objects in a new namespace.
func apply(t *testing.T, namespace, objects string) {
	t.Helper()
	if _, err := kube.Kubectl(t.Context(), "create", "namespace", namespace); err != nil {
		t.Fatal(err)
	}
	if _, err := kube.KubectlInput(t.Context(), objects, "apply", "-n", namespace, "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// ready returns the Pods with a label when there are as many, all of them ready.
func ready(t *testing.T, namespace, app string, count int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	eventually(t, func(ctx context.Context) error {
		list, err := kube.Clientset().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return err
		}
		pods = nil
		for _, p := range list.Items {
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
					pods = append(pods, p)
				}
			}
		}
		if len(list.Items) != count || len(pods) != count {
			return fmt.Errorf("%d Pods are ready of %+v", len(pods), list.Items)
		}
		return nil
	})
	return pods
}

// in runs a command in a Pod.
func in(ctx context.Context, namespace, pod string, command ...string) (string, error) {
	return kube.Kubectl(ctx, append([]string{"exec", "-n", namespace, pod, "--"}, command...)...)
}

const echoes = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      containers:
      - name: echo
        image: test/echo:v1
        args: ["--version=$(ADDRESS)"]
        env:
        - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        readinessProbe: {httpGet: {port: http, path: /ready}}
        ports: [{name: http, containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  selector: {app: echo}
  ports:
  - {name: http, port: 80, targetPort: http}
  - {name: tcp, port: 9090}
`

func TestServices(t *testing.T) {
	t.Parallel()
	apply(t, "services", echoes)
	pods := ready(t, "services", "echo", 2)
	service, err := kube.Clientset().CoreV1().Services("services").Get(t.Context(), "echo", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("by name", func(t *testing.T) {
		for _, host := range []string{"echo", "echo.services", "echo.services.svc.cluster.local", service.Spec.ClusterIP} {
			out, err := in(t.Context(), "services", pods[0].Name, "client", "http://"+host+"/path", "--count=20")
			if err != nil {
				t.Error(err)
			}
			if !strings.Contains(out, "[19 body] URL=/path") || !strings.Contains(out, "IP="+pods[0].Status.PodIP) && !strings.Contains(out, "IP="+node.Address.String()) {
				t.Errorf("%s: %s", host, out)
			}
		}
	})
	t.Run("each endpoint", func(t *testing.T) {
		// One of them is the client itself.
		answered := map[string]bool{}
		eventually(t, func(ctx context.Context) error {
			out, err := in(ctx, "services", pods[0].Name, "client", "tcp://echo:9090", "--count=10")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pods {
				if strings.Contains(out, "ServiceVersion="+p.Status.PodIP) && strings.Contains(out, "Hostname="+p.Name) {
					answered[p.Name] = true
				}
			}
			if len(answered) != len(pods) {
				return fmt.Errorf("only %v answered", answered)
			}
			return nil
		})
	})
	t.Run("from the node", func(t *testing.T) {
		eventually(t, func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://echo.services.svc.cluster.local", nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			return response.Body.Close()
		})
	})
	t.Run("without endpoints", func(t *testing.T) {
		if _, err := kube.Kubectl(t.Context(), "scale", "-n", "services", "deployment/echo", "--replicas=0"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(service.Spec.ClusterIP, "80"))
			if errors.Is(err, syscall.ECONNREFUSED) {
				return nil
			}
			if err == nil {
				err = errors.Join(errors.New("somebody answers"), conn.Close())
			}
			return err
		})
	})
}

const coredns = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns}
spec:
  selector: {matchLabels: {app: coredns}}
  template:
    metadata: {labels: {app: coredns}}
    spec:
      containers:
      - name: coredns
        image: registry.k8s.io/coredns/coredns:v1.12.2
        args: [-conf, /root/Corefile]
        securityContext:
          allowPrivilegeEscalation: false
          capabilities: {add: [NET_BIND_SERVICE], drop: [ALL]}
        volumeMounts: [{name: conf, mountPath: /root}]
      volumes: [{name: conf, configMap: {name: coredns, defaultMode: 420}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns}
data:
  Corefile: "foo.bar.com:53 {\n  whoami\n}\n"
---
apiVersion: v1
kind: Service
metadata: {name: coredns}
spec:
  selector: {app: coredns}
  ports: [{port: 53, protocol: UDP}]
`

// A client goes on sending from the same port while the Pods behind the Service change.
func TestDatagrams(t *testing.T) {
	t.Parallel()
	apply(t, "datagrams", coredns)
	pod := ready(t, "datagrams", "coredns", 1)[0]
	service, err := kube.Clientset().CoreV1().Services("datagrams").Get(t.Context(), "coredns", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", net.JoinHostPort(service.Spec.ClusterIP, "53"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answered := func(context.Context) error { return ask(conn, "foo.bar.com.") }
	eventually(t, answered)
	if _, err := kube.Kubectl(t.Context(), "delete", "pod", "-n", "datagrams", pod.Name); err != nil {
		t.Fatal(err)
	}
	if other := ready(t, "datagrams", "coredns", 1)[0]; other.Status.PodIP == pod.Status.PodIP {
		t.Errorf("%s has the address of %s", other.Name, pod.Name)
	}
	eventually(t, answered)
}

// ask asks whoami, which answers with two additional records.
func ask(conn net.Conn, name string) error {
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	data, err := question.Pack()
	if err != nil {
		return err
	}
	if _, err := conn.Write(data); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		return err
	}
	data = make([]byte, 512)
	n, err := conn.Read(data)
	if err != nil {
		return err
	}
	var answer dnsmessage.Message
	if err := answer.Unpack(data[:n]); err != nil {
		return err
	}
	if answer.ID != question.ID || len(answer.Additionals) != 2 {
		return fmt.Errorf("answer %+v", answer)
	}
	return nil
}

const mortal = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  terminationGracePeriodSeconds: %[2]d
  containers:
  - name: shell
    image: test/echo
    command: [sh, -c, %[3]q]
`

func TestDeletion(t *testing.T) {
	t.Parallel()
	apply(t, "deletion", fmt.Sprintf(mortal, "polite", 60, "trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done")+
		"---"+fmt.Sprintf(mortal, "stubborn", 1, "trap '' TERM; while :; do sleep 0.1; done"))
	for _, name := range []string{"polite", "stubborn"} {
		pod := ready(t, "deletion", name, 1)[0]
		if !hasRoute(t, pod.Status.PodIP) {
			t.Errorf("no route leads to %s", name)
		}
		before := time.Now()
		if _, err := kube.Kubectl(t.Context(), "delete", "pod", "-n", "deletion", name); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took > 30*time.Second {
			t.Errorf("deleting %s took %s", name, took)
		}
		eventually(t, func(context.Context) error {
			if hasRoute(t, pod.Status.PodIP) {
				return fmt.Errorf("the network of %s is still there", name)
			}
			return nil
		})
		if _, err := kube.Clientset().CoreV1().Pods("deletion").Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func hasRoute(t *testing.T, ip string) bool {
	t.Helper()
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.String() == netip.MustParsePrefix(ip+"/32").String() {
			return true
		}
	}
	return false
}
