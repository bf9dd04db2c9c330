//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node/internal/container"
)

// process is a container as it is run.
type process struct {
	name, image                  string
	config                       container.Config
	ports                        map[string]int32
	readiness, liveness, startup *corev1.Probe
	preStop                      *corev1.LifecycleHandler
	logsOnError                  bool // when it fails, the end of its log is why
}

// searchPath is where containers find programs: in the root of images, and where the machine has its own.
const searchPath = "PATH=/:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// resolve says how a container is to run. Its volumes have been made.
func (p *pod) resolve(ctx context.Context, c *corev1.Container, extra *Injection) (process, error) {
	spec := p.spec()
	image, err := p.image(c.Image)
	if err != nil {
		return process{}, err
	}
	user, err := userOf(spec, c)
	if err != nil {
		return process{}, problem{"CreateContainerConfigError", err}
	}
	env, err := p.environment(ctx, c, extra.Env)
	if err != nil {
		return process{}, problem{"CreateContainerConfigError", err}
	}
	mounts, err := p.mounts(c, image, user, extra.Files)
	if err != nil {
		return process{}, problem{"CreateContainerError", err}
	}
	command := c.Command
	args := c.Args
	if len(command) == 0 {
		command = image.Entrypoint
	}
	variables := map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		variables[name] = value
	}
	expanded := []string{}
	for _, arg := range slices.Concat(command, args) {
		expanded = append(expanded, expand(arg, variables))
	}
	if len(expanded) == 0 {
		return process{}, problem{"CreateContainerError", errors.New("neither the container nor its image has a command")}
	}
	ports := map[string]int32{}
	for _, port := range c.Ports {
		ports[port.Name] = port.ContainerPort
	}
	result := process{
		name: c.Name, image: c.Image, ports: ports,
		readiness: c.ReadinessProbe, liveness: c.LivenessProbe, startup: c.StartupProbe,
		logsOnError: c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError,
		config: container.Config{
			Args: expanded, Env: env, Dir: c.WorkingDir, User: user, Hostname: p.hostname(),
			Root: container.Root{Base: p.base(c.Name), Mounts: mounts},
		},
	}
	if c.SecurityContext != nil {
		result.config.Root.ReadOnly = value(c.SecurityContext.ReadOnlyRootFilesystem)
	}
	if c.Lifecycle != nil {
		result.preStop = c.Lifecycle.PreStop
	}
	return result, nil
}

func (p *pod) image(name string) (Image, error) {
	image, ok := p.node.options.image(name)
	if !ok {
		return image, problem{"ErrImagePull", fmt.Errorf("this node has no image %s", name)}
	}
	return image, nil
}

// environment returns the variables of a container, each as NAME=VALUE.
func (p *pod) environment(ctx context.Context, c *corev1.Container, injected []corev1.EnvVar) ([]string, error) {
	variables := map[string]string{}
	for _, from := range c.EnvFrom {
		values, err := p.variablesFrom(ctx, from)
		if err != nil {
			return nil, err
		}
		for name, value := range values {
			variables[from.Prefix+name] = value
		}
	}
	for _, v := range slices.Concat(injected, c.Env) {
		if v.ValueFrom == nil {
			variables[v.Name] = expand(v.Value, variables)
			continue
		}
		value, found, err := p.valueFrom(ctx, v.ValueFrom)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", v.Name, err)
		}
		if found {
			variables[v.Name] = value
		}
	}
	env := []string{searchPath, "HOSTNAME=" + p.hostname(), "HOME=/"}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		env = append(env, name+"="+variables[name])
	}
	return env, nil
}

func (p *pod) variablesFrom(ctx context.Context, from corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case from.ConfigMapRef != nil:
		return p.configMap(ctx, from.ConfigMapRef.Name, value(from.ConfigMapRef.Optional))
	case from.SecretRef != nil:
		return p.secret(ctx, from.SecretRef.Name, value(from.SecretRef.Optional))
	}
	return nil, errors.New("variables from nothing")
}

func (p *pod) valueFrom(ctx context.Context, from *corev1.EnvVarSource) (string, bool, error) {
	switch {
	case from.FieldRef != nil:
		value, err := p.field(from.FieldRef.FieldPath)
		return value, true, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := p.configMap(ctx, ref.Name, value(ref.Optional))
		return entry(data, err, "ConfigMap "+ref.Name, ref.Key, value(ref.Optional))
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		data, err := p.secret(ctx, ref.Name, value(ref.Optional))
		return entry(data, err, "Secret "+ref.Name, ref.Key, value(ref.Optional))
	}
	return "", false, errors.New("a value from nothing")
}

func entry(data map[string]string, err error, object, key string, optional bool) (string, bool, error) {
	value, found := data[key]
	if err == nil && !found && !optional {
		err = fmt.Errorf("%s has no key %s", object, key)
	}
	return value, found, err
}

// field returns a field of the Pod, as the downward API has them.
func (p *pod) field(path string) (string, error) {
	pod := p.latest.Load()
	if name, key, ok := strings.Cut(strings.TrimSuffix(path, "']"), "['"); ok {
		switch name {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return joined(pod.Labels), nil
	case "metadata.annotations":
		return joined(pod.Annotations), nil
	case "spec.nodeName":
		return nodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs":
		return Address.String(), nil
	case "status.podIP", "status.podIPs":
		return p.sandbox.addr.String(), nil
	}
	return "", fmt.Errorf("no field %s", path)
}

// joined writes labels as files of the downward API have them.
func joined(labels map[string]string) string {
	lines := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		lines = append(lines, fmt.Sprintf("%s=%q", key, labels[key]))
	}
	return strings.Join(lines, "\n")
}

// configMap returns the entries of a ConfigMap in the Pod's namespace.
func (p *pod) configMap(ctx context.Context, name string, optional bool) (map[string]string, error) {
	object, err := p.node.client.CoreV1().ConfigMaps(p.key.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, allow(err, optional)
	}
	data := maps.Clone(object.Data)
	if data == nil {
		data = map[string]string{}
	}
	for key, value := range object.BinaryData {
		data[key] = string(value)
	}
	return data, nil
}

// secret returns the entries of a Secret in the Pod's namespace.
func (p *pod) secret(ctx context.Context, name string, optional bool) (map[string]string, error) {
	object, err := p.node.client.CoreV1().Secrets(p.key.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, allow(err, optional)
	}
	data := map[string]string{}
	for key, value := range object.Data {
		data[key] = string(value)
	}
	return data, nil
}

// expand replaces $(NAME) by the variable of that name, if there is one, and $$ by $.
func expand(text string, variables map[string]string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		text = rest
		if after, ok := strings.CutPrefix(rest, "$"); ok {
			b.WriteByte('$')
			text = after
			continue
		}
		if reference, ok := strings.CutPrefix(rest, "("); ok {
			if name, after, closed := strings.Cut(reference, ")"); closed {
				if value, known := variables[name]; known {
					b.WriteString(value)
				} else {
					b.WriteString("$(" + name + ")")
				}
				text = after
				continue
			}
		}
		b.WriteByte('$')
	}
}
