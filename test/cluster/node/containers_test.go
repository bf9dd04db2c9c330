//go:build linux

package node_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node"
)

const volumes = `
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {tls.crt: certificate, tls.key: key}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {one: first, two: second}
---
apiVersion: v1
kind: Pod
metadata: {name: volumes, labels: {app: volumes, some: label}}
spec:
  containers:
  - name: reader
    image: test/echo
    command: [sh, -c, 'while ! [ -e /shared/file ]; do sleep 0.1; done; cat /etc/secret/crt; ls /etc/secret /root; cat /root/* /info/labels /shared/file; echo "$P_two $KEY $MISSING. $EXPANDED"; sleep 1000']
    env:
    - {name: ONE, valueFrom: {configMapKeyRef: {name: config, key: one}}}
    - {name: EXPANDED, value: "$(ONE) $(P_one) $$(ONE) $(NONE)"}
    - {name: KEY, valueFrom: {secretKeyRef: {name: secret, key: tls.key}}}
    - {name: MISSING, valueFrom: {secretKeyRef: {name: none, key: none, optional: true}}}
    envFrom: [{prefix: P_, configMapRef: {name: config}}]
    readinessProbe: {exec: {command: ["false"]}}
    volumeMounts:
    - {name: secret, mountPath: /etc/secret}
    - {name: config, mountPath: /root}
    - {name: shared, mountPath: /shared}
    - {name: info, mountPath: /info}
  - name: writer
    image: test/echo
    command: [sh, -c, 'echo shared >/shared/file; sleep 1000']
    volumeMounts: [{name: shared, mountPath: /shared}]
  volumes:
  - {name: secret, secret: {secretName: secret, items: [{key: tls.crt, path: crt}]}}
  - {name: config, configMap: {name: config}}
  - {name: shared, emptyDir: {}}
  - {name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: "metadata.labels['some']"}}]}}
`

func TestVolumes(t *testing.T) {
	t.Parallel()
	apply(t, "volumes", volumes)
	const want = "certificate/etc/secret:\ncrt\n\n/root:\none\ntwo\nfirstsecondlabelshared\nsecond key . first first $(ONE) $(NONE)\n"
	eventually(t, func(ctx context.Context) error {
		got, err := kube.Kubectl(ctx, "logs", "-n", "volumes", "volumes", "-c", "reader")
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			err = fmt.Errorf("what it has (-want +got):\n%s", diff)
		}
		return err
	})
	token, err := kube.Kubectl(t.Context(), "exec", "-n", "volumes", "volumes", "-c", "writer", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
	if err != nil || strings.Count(token, ".") != 2 {
		t.Errorf("token %q: %v", token, err)
	}
}

const confined = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  hostname: given
  securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "7"}]}
  containers:
  - name: shell
    image: test/echo
    command: [sleep, "1000"]
    securityContext: %[2]s
`

// A container sees nothing of the machine but programs, and can change nothing of it.
func TestConfinement(t *testing.T) {
	t.Parallel()
	outside := t.TempDir() + "/file"
	if err := os.WriteFile(outside, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	apply(t, "confinement", fmt.Sprintf(confined, "root", "{}")+"---"+
		fmt.Sprintf(confined, "user", "{runAsUser: 1000, runAsGroup: 1001, runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"))
	ready(t, "confinement", "root", 1)
	ready(t, "confinement", "user", 1)
	for _, c := range []struct{ pod, command, want string }{
		{"root", "id -u; id -g", "0\n0\n"},
		{"user", "id -u; id -g", "1000\n1001\n"},
		{"root", "hostname", "given\n"},
		{"root", "ls " + outside, ""},
		{"root", "echo $$ >/etc/written && ls /etc", "hosts\nresolv.conf\nwritten\n"},
		{"root", "touch /usr/written || touch /sys/written || touch /etc/resolv.conf || echo refused", "refused\n"},
		{"root", "umount /proc || echo refused", "refused\n"},
		{"user", "touch /written /etc/written || echo refused", "refused\n"},
		{"user", "touch /tmp/written && echo allowed", "allowed\n"},
		{"root", "tr '\\0' ' ' </proc/1/cmdline", "sleep 1000 "},
		{"user", "grep -E 'CapBnd|NoNewPrivs' /proc/self/status", "CapBnd:\t0000000000000000\nNoNewPrivs:\t1\n"},
		{"user", "grep -E 'CapBnd|NoNewPrivs' /proc/1/status", "CapBnd:\t0000000000000000\nNoNewPrivs:\t1\n"},
		{"root", "grep CapEff /proc/1/status", "CapEff:\t00000000a80425fb\n"},
		{"root", "grep CapEff /proc/self/status", "CapEff:\t00000000a80425fb\n"},
		{"root", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "7\n"},
		{"root", "ls /proc/self/fd", "0\n1\n2\n3\n"}, // the last one is the folder
	} {
		got, err := in(t.Context(), "confinement", c.pod, "sh", "-c", c.command)
		if got != c.want {
			t.Errorf("%s: %s: %q, not %q: %v", c.pod, c.command, got, c.want, err)
		}
	}
}

const refused = `
apiVersion: v1
kind: Pod
metadata: {name: network}
spec:
  hostNetwork: true
  containers: [{name: c, image: test/echo, resources: {limits: {cpu: 1}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: unknown}
spec:
  containers: [{name: c, image: test/unknown}]
---
apiVersion: v1
kind: Pod
metadata: {name: root}
spec:
  securityContext: {runAsNonRoot: true}
  containers: [{name: c, image: test/echo}]
---
apiVersion: v1
kind: Pod
metadata: {name: secret, labels: {app: secret}}
spec:
  containers: [{name: c, image: test/echo, command: [sleep, "1000"], envFrom: [{secretRef: {name: late}}]}]
`

func TestRefused(t *testing.T) {
	t.Parallel()
	apply(t, "refused", refused)
	for name, want := range map[string]corev1.ContainerStateWaiting{
		"network": {Reason: "Unsupported", Message: "this node can't run the Pod: it does nothing about spec.containers[0].resources.limits.cpu, spec.hostNetwork"},
		"unknown": {Reason: "ErrImagePull", Message: "this node has no image test/unknown"},
		"root":    {Reason: "CreateContainerConfigError", Message: "the container has runAsNonRoot, and would run as root"},
		"secret":  {Reason: "CreateContainerConfigError", Message: `secrets "late" not found`},
	} {
		eventually(t, func(ctx context.Context) error {
			pod, err := kube.Clientset().CoreV1().Pods("refused").Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if pod.Status.Phase != corev1.PodPending || len(pod.Status.ContainerStatuses) != 1 ||
				pod.Status.ContainerStatuses[0].State.Waiting == nil || *pod.Status.ContainerStatuses[0].State.Waiting != want {
				return fmt.Errorf("status %+v", pod.Status)
			}
			return nil
		})
	}
	if _, err := kube.Kubectl(t.Context(), "create", "secret", "generic", "late", "-n", "refused"); err != nil {
		t.Fatal(err)
	}
	ready(t, "refused", "secret", 1)
}

const failing = `
apiVersion: v1
kind: Pod
metadata: {name: failing, labels: {app: failing}}
spec:
  containers:
  - name: exits
    image: test/echo
    command: [sh, -c, "echo why; exit 5"]
    terminationMessagePolicy: FallbackToLogsOnError
  - name: hangs
    image: test/echo
    command: [sleep, "1000"]
    startupProbe: {exec: {command: ["true"]}, periodSeconds: 1}
    livenessProbe: {exec: {command: ["false"]}, periodSeconds: 1, failureThreshold: 1}
  - name: healthy
    image: test/echo
    args: [--grpc=7071, --port=8081, --tcp=9091]
    readinessProbe: {grpc: {port: 7071}}
    livenessProbe: {tcpSocket: {port: 9091}}
  terminationGracePeriodSeconds: 0
`

func TestRestarts(t *testing.T) {
	t.Parallel()
	apply(t, "restarts", failing)
	eventually(t, func(ctx context.Context) error {
		pod, err := kube.Clientset().CoreV1().Pods("restarts").Get(ctx, "failing", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(pod.Status.ContainerStatuses) != 3 {
			return fmt.Errorf("status %+v", pod.Status)
		}
		exits, hangs, healthy := pod.Status.ContainerStatuses[0], pod.Status.ContainerStatuses[1], pod.Status.ContainerStatuses[2]
		last := exits.LastTerminationState.Terminated
		if exits.RestartCount < 2 || last == nil || last.ExitCode != 5 || last.Message != "why\n" || exits.Ready {
			return fmt.Errorf("exits: %+v", exits)
		}
		if last = hangs.LastTerminationState.Terminated; hangs.RestartCount < 1 || last == nil || last.ExitCode != 137 {
			return fmt.Errorf("hangs: %+v", hangs)
		}
		if !healthy.Ready || healthy.RestartCount != 0 || pod.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("healthy: %+v", healthy)
		}
		return nil
	})
}

const meshed = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s, sidecar: "yes"}}
spec:
  securityContext: {runAsUser: %[2]d}
  containers:
  - name: echo
    image: test/echo
    args: [--version=itself]
    readinessProbe: {tcpSocket: {port: 9090}}
`

func TestSidecar(t *testing.T) {
	t.Parallel()
	apply(t, "sidecar", fmt.Sprintf(meshed, "app", 0)+"---"+fmt.Sprintf(meshed, "sidecar", node.SidecarUser)+"---"+echoes)
	app := ready(t, "sidecar", "app", 1)[0]
	ready(t, "sidecar", "sidecar", 1)
	backend := ready(t, "sidecar", "echo", 2)[0]
	for _, c := range []struct{ pod, to, want string }{
		{"app", "tcp://echo:9090", "ServiceVersion=sidecar"},
		{"app", "tcp://" + backend.Status.PodIP + ":9090", "ServiceVersion=sidecar"},
		{"app", "tcp://127.0.0.1:9090", "ServiceVersion=itself"},
		{"app", "tcp://" + app.Status.PodIP + ":9090", "ServiceVersion=itself"},
		{"sidecar", "tcp://" + backend.Status.PodIP + ":9090", "ServiceVersion=" + backend.Status.PodIP},
		{"sidecar", "tcp://" + app.Status.PodIP + ":9090", "ServiceVersion=itself"}, // nothing is redirected on its way in
	} {
		out, err := in(t.Context(), "sidecar", c.pod, "client", c.to)
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s to %s: %s, not %s: %v", c.pod, c.to, out, c.want, err)
		}
	}
	out, err := in(t.Context(), "sidecar", "app", "sh", "-c", "echo $INJECTED; cat /etc/injected/file; stat -c %a /etc/injected/file")
	if want := app.Status.PodIP + "\napp400\n"; err != nil || out != want {
		t.Errorf("injected is %q, not %q: %v", out, want, err)
	}
	if got := len(app.Status.ContainerStatuses); got != 1 {
		t.Errorf("the Pod shows %d containers", got)
	}
	before := time.Now()
	if _, err := kube.Kubectl(t.Context(), "delete", "pod", "-n", "sidecar", "app"); err != nil {
		t.Error(err)
	}
	if took := time.Since(before); took > 10*time.Second {
		t.Errorf("deleting it took %s", took)
	}
}
