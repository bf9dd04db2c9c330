//go:build linux

package node

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":              "",
		"plain $":       "plain $",
		"$(A)-$(A)":     "a-a",
		"$$(A)":         "$(A)",
		"$$$(A)":        "$a",
		"$(NONE) $(A":   "$(NONE) $(A",
		"$A $(A)$":      "$A a$",
		"$(B)":          "$(A)", // values are not expanded again
		"--id=$(A)/x=1": "--id=a/x=1",
	} {
		if got := expand(text, map[string]string{"A": "a", "B": "$(A)"}); got != want {
			t.Errorf("%s becomes %s, not %s", text, got, want)
		}
	}
}

func TestImageNames(t *testing.T) {
	t.Parallel()
	o := Options{Images: map[string]Image{
		"registry:5000/name": Program("any"),
		"name:v2":            Program("tagged"),
	}}
	for name, want := range map[string]string{
		"registry:5000/name":               "/any",
		"registry:5000/name:v1":            "/any",
		"registry:5000/name@sha256:00":     "/any",
		"registry:5000/name:v1@sha256:00":  "/any",
		"registry:5000":                    "",
		"registry:5000/name/more":          "",
		"name:v2":                          "/tagged",
		"name:v1":                          "",
		"registry.example/other/name:v2":   "",
		"registry:5000/names:v1@sha256:00": "",
	} {
		got, ok := o.image(name)
		if ok != (want != "") || ok && got.Entrypoint[0] != want {
			t.Errorf("%s is %v", name, got)
		}
	}
}

func TestDishonoured(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"nothing": {spec: `
terminationGracePeriodSeconds: 45
restartPolicy: Always
securityContext: {runAsNonRoot: true, runAsUser: 101, seccompProfile: {type: RuntimeDefault}, sysctls: [{name: net.x, value: "0"}]}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}}]
containers:
- name: c
  image: i
  ports: [{name: http, containerPort: 80, protocol: TCP}]
  readinessProbe: {httpGet: {path: /, port: 80, scheme: HTTP}, periodSeconds: 5}
  lifecycle: {preStop: {sleep: {seconds: 3}}}
  securityContext: {allowPrivilegeEscalation: false, privileged: false, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
  resources: {requests: {cpu: 10m}}
  volumeMounts: [{name: v, mountPath: /v, subPath: s, readOnly: true}]
volumes: [{name: v, emptyDir: {medium: Memory}}, {name: w, projected: {sources: [{serviceAccountToken: {path: t}}]}}]
`},
		"Pods": {
			spec: `{hostPID: true, restartPolicy: Never, dnsPolicy: None, nodeSelector: {disk: fast}, initContainers: [{name: i}], runtimeClassName: r, containers: []}`,
			want: []string{"spec.dnsPolicy", "spec.hostPID", "spec.initContainers[0].name", "spec.nodeSelector.disk", "spec.restartPolicy", "spec.runtimeClassName"},
		},
		"security": {
			spec: `{securityContext: {fsGroup: 1, seccompProfile: {type: Localhost}}, containers: [{name: c, securityContext: {privileged: true, procMount: Unmasked}}]}`,
			want: []string{"spec.containers[0].securityContext.privileged", "spec.containers[0].securityContext.procMount", "spec.securityContext.fsGroup", "spec.securityContext.seccompProfile.type"},
		},
		"containers": {
			spec: `{containers: [{name: c, tty: true, ports: [{containerPort: 1, hostPort: 2}], resources: {limits: {cpu: 1}}, env: [{name: e, valueFrom: {resourceFieldRef: {resource: r}}}], volumeMounts: [{name: v, mountPath: /v, mountPropagation: Bidirectional}], lifecycle: {postStart: {sleep: {seconds: 1}}}}]}`,
			want: []string{
				"spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor", "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource",
				"spec.containers[0].lifecycle.postStart.sleep.seconds", "spec.containers[0].ports[0].hostPort", "spec.containers[0].resources.limits.cpu",
				"spec.containers[0].tty", "spec.containers[0].volumeMounts[0].mountPropagation",
			},
		},
		"probes": {
			spec: `{containers: [{name: c, livenessProbe: {httpGet: {path: /, port: 1, scheme: HTTPS}}}]}`,
			want: []string{"spec.containers[0].livenessProbe.httpGet.scheme"},
		},
		"volumes": {
			spec: `{containers: [], volumes: [{name: v, hostPath: {path: /}}, {name: w, emptyDir: {medium: HugePages}}]}`,
			want: []string{"spec.volumes[0].hostPath.path", "spec.volumes[1].emptyDir.medium"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{}
			if err := yaml.UnmarshalStrict([]byte(c.spec), &pod.Spec); err != nil {
				t.Fatal(err)
			}
			before := pod.DeepCopy()
			got, err := dishonoured(pod)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" && len(c.want)+len(got) > 0 {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, pod); diff != "" {
				t.Errorf("the Pod has changed:\n%s", diff)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asked *corev1.Capabilities
		want  []uintptr
		fails bool
	}{
		"all but one":    {asked: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_BIND_SERVICE"}}, want: []uintptr{unix.CAP_NET_BIND_SERVICE}},
		"with a prefix":  {asked: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"CAP_NET_RAW"}}, want: []uintptr{unix.CAP_NET_RAW}},
		"none":           {asked: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		"one is unknown": {asked: &corev1.Capabilities{Add: []corev1.Capability{"FLY"}}, fails: true},
	} {
		got, err := capabilitiesOf(c.asked)
		if !slices.Equal(got, c.want) && !c.fails || (err != nil) != c.fails {
			t.Errorf("%s: %v: %v", name, got, err)
		}
	}
	got, err := capabilitiesOf(&corev1.Capabilities{Drop: []corev1.Capability{"CHOWN"}})
	if err != nil || len(got) != len(usual)-1 || slices.Contains(got, unix.CAP_CHOWN) {
		t.Errorf("without CHOWN: %v: %v", got, err)
	}
}
