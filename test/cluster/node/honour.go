//go:build linux

package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// dishonoured returns the fields of a Pod that it would not have for real, by path. What is left of the Pod when all is
// taken away that this node does, and what needs nothing done, is what it can't do.
func dishonoured(pod *corev1.Pod) ([]string, error) {
	spec := pod.Spec.DeepCopy()
	stripPod(spec)
	for i := range spec.Volumes {
		stripVolume(&spec.Volumes[i])
	}
	for i := range spec.Containers {
		stripContainer(&spec.Containers[i])
	}
	return leaves(spec)
}

func stripPod(spec *corev1.PodSpec) {
	spec.NodeName, spec.ServiceAccountName, spec.DeprecatedServiceAccount, spec.Hostname = "", "", "", ""
	spec.TerminationGracePeriodSeconds = nil
	// Admission has done what these ask for.
	spec.AutomountServiceAccountToken, spec.Priority, spec.PriorityClassName = nil, nil, ""
	// This node takes all Pods, and has all images. It sets no variables for Services.
	spec.SchedulerName, spec.Tolerations, spec.PreemptionPolicy, spec.ImagePullSecrets, spec.EnableServiceLinks = "", nil, nil, nil, nil
	spec.TopologySpreadConstraints = slices.DeleteFunc(spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
		return c.WhenUnsatisfiable == corev1.ScheduleAnyway
	})
	strip(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	strip(&spec.DNSPolicy, corev1.DNSClusterFirst)
	if c := spec.SecurityContext; c != nil {
		c.RunAsUser, c.RunAsGroup, c.RunAsNonRoot, c.SupplementalGroups, c.Sysctls = nil, nil, nil, nil, nil
		c.SeccompProfile = stripSeccomp(c.SeccompProfile)
	}
}

// stripSeccomp knows that the default profile of this runtime is none.
func stripSeccomp(p *corev1.SeccompProfile) *corev1.SeccompProfile {
	if p != nil && p.Type == corev1.SeccompProfileTypeLocalhost {
		return p
	}
	return nil
}

func stripVolume(v *corev1.Volume) {
	v.Name = ""
	v.Secret, v.ConfigMap, v.DownwardAPI = nil, nil, stripDownwardAPI(v.DownwardAPI)
	if v.EmptyDir != nil {
		strip(&v.EmptyDir.Medium, corev1.StorageMediumMemory)
	}
	if v.Projected == nil {
		return
	}
	v.Projected.DefaultMode = nil
	for i := range v.Projected.Sources {
		source := &v.Projected.Sources[i]
		source.Secret, source.ConfigMap, source.ServiceAccountToken = nil, nil, nil
		if source.DownwardAPI != nil {
			for j := range source.DownwardAPI.Items {
				stripFile(&source.DownwardAPI.Items[j])
			}
		}
	}
}

func stripDownwardAPI(d *corev1.DownwardAPIVolumeSource) *corev1.DownwardAPIVolumeSource {
	if d != nil {
		d.DefaultMode = nil
		for i := range d.Items {
			stripFile(&d.Items[i])
		}
	}
	return d
}

func stripFile(f *corev1.DownwardAPIVolumeFile) {
	f.Path, f.FieldRef, f.Mode = "", nil, nil
}

func stripContainer(c *corev1.Container) {
	c.Name, c.Image, c.ImagePullPolicy = "", "", ""
	c.Command, c.Args, c.WorkingDir, c.EnvFrom = nil, nil, "", nil
	c.ReadinessProbe, c.LivenessProbe, c.StartupProbe = stripProbe(c.ReadinessProbe), stripProbe(c.LivenessProbe), stripProbe(c.StartupProbe)
	c.Resources.Requests = nil
	// The file is not read.
	c.TerminationMessagePath, c.TerminationMessagePolicy = "", ""
	for i := range c.Ports {
		p := &c.Ports[i]
		p.Name, p.ContainerPort, p.Protocol = "", 0, ""
	}
	for i := range c.Env {
		v := &c.Env[i]
		v.Name, v.Value = "", ""
		if v.ValueFrom != nil {
			v.ValueFrom.FieldRef, v.ValueFrom.ConfigMapKeyRef, v.ValueFrom.SecretKeyRef = nil, nil, nil
		}
	}
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		m.Name, m.MountPath, m.SubPath, m.ReadOnly = "", "", "", false
	}
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		c.Lifecycle.PreStop.Sleep, c.Lifecycle.PreStop.Exec = nil, nil
	}
	if s := c.SecurityContext; s != nil {
		s.RunAsUser, s.RunAsGroup, s.RunAsNonRoot, s.ReadOnlyRootFilesystem, s.AllowPrivilegeEscalation, s.Capabilities = nil, nil, nil, nil, nil, nil
		s.SeccompProfile = stripSeccomp(s.SeccompProfile)
		if !value(s.Privileged) {
			s.Privileged = nil
		}
	}
}

// stripProbe leaves probes by HTTPS, which kubelets send without verifying who answers.
func stripProbe(p *corev1.Probe) *corev1.Probe {
	if p == nil {
		return nil
	}
	left := &corev1.Probe{TerminationGracePeriodSeconds: p.TerminationGracePeriodSeconds}
	if p.HTTPGet != nil && p.HTTPGet.Scheme == corev1.URISchemeHTTPS {
		left.HTTPGet = &corev1.HTTPGetAction{Scheme: p.HTTPGet.Scheme}
	}
	return left
}

func strip[T ~string](field *T, done T) {
	if *field == done {
		*field = ""
	}
}

// leaves returns the paths of all values in an object that aren't empty.
func leaves(object any) ([]string, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	paths := sets.New[string]()
	collect(tree, "spec", paths)
	return sets.List(paths), nil
}

func collect(value any, path string, paths sets.Set[string]) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			collect(value[key], path+"."+key, paths)
		}
	case []any:
		for i, item := range value {
			collect(item, fmt.Sprintf("%s[%d]", path, i), paths)
		}
	case nil:
	case string:
		if value != "" {
			paths.Insert(path)
		}
	case float64:
		if value != 0 {
			paths.Insert(path)
		}
	default:
		paths.Insert(path)
	}
}
