//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node/internal/container"
)

// file is a file of a volume.
type file struct {
	data  string
	mode  os.FileMode
	owner int
}

// makeVolumes makes a folder for each volume, with the files that are in it now.
func (p *pod) makeVolumes(ctx context.Context) error {
	for _, volume := range p.spec().Volumes {
		files, err := p.files(ctx, &volume)
		if err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
		mode := os.FileMode(0o755)
		if volume.EmptyDir != nil {
			mode = 0o777
		}
		dir := p.volume(volume.Name)
		if err := os.MkdirAll(dir, mode); err != nil {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil { // whatever the umask is
			return err
		}
		for name, file := range files {
			if err := file.write(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f file) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(f.data), 0o600); err != nil {
		return err
	}
	if err := os.Chown(path, f.owner, f.owner); err != nil {
		return err
	}
	return os.Chmod(path, f.mode)
}

// files returns the files of a volume, by path.
func (p *pod) files(ctx context.Context, v *corev1.Volume) (map[string]file, error) {
	switch {
	case v.EmptyDir != nil:
		return nil, nil
	case v.Secret != nil:
		data, err := p.secret(ctx, v.Secret.SecretName, value(v.Secret.Optional))
		return chosen(data, err, v.Secret.Items, v.Secret.DefaultMode, value(v.Secret.Optional))
	case v.ConfigMap != nil:
		data, err := p.configMap(ctx, v.ConfigMap.Name, value(v.ConfigMap.Optional))
		return chosen(data, err, v.ConfigMap.Items, v.ConfigMap.DefaultMode, value(v.ConfigMap.Optional))
	case v.DownwardAPI != nil:
		return p.fields(v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
	case v.Projected != nil:
		all := map[string]file{}
		for _, source := range v.Projected.Sources {
			files, err := p.projected(ctx, source, v.Projected.DefaultMode)
			if err != nil {
				return nil, err
			}
			maps.Copy(all, files)
		}
		return all, nil
	}
	return nil, errors.New("this node has no such volumes")
}

func (p *pod) projected(ctx context.Context, source corev1.VolumeProjection, mode *int32) (map[string]file, error) {
	switch {
	case source.Secret != nil:
		data, err := p.secret(ctx, source.Secret.Name, value(source.Secret.Optional))
		return chosen(data, err, source.Secret.Items, mode, value(source.Secret.Optional))
	case source.ConfigMap != nil:
		data, err := p.configMap(ctx, source.ConfigMap.Name, value(source.ConfigMap.Optional))
		return chosen(data, err, source.ConfigMap.Items, mode, value(source.ConfigMap.Optional))
	case source.DownwardAPI != nil:
		return p.fields(source.DownwardAPI.Items, mode)
	case source.ServiceAccountToken != nil:
		return p.token(ctx, source.ServiceAccountToken)
	}
	return nil, errors.New("this node has no such sources of volumes")
}

// chosen returns the entries of an object that are in a volume, under their paths there.
func chosen(data map[string]string, err error, items []corev1.KeyToPath, mode *int32, optional bool) (map[string]file, error) {
	if err != nil {
		return nil, err
	}
	files := map[string]file{}
	if len(items) == 0 {
		for key, value := range data {
			files[key] = file{data: value, mode: modeOf(mode)}
		}
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok && !optional {
			return nil, fmt.Errorf("there is no key %s", item.Key)
		}
		if ok {
			files[item.Path] = file{data: value, mode: modeOf(item.Mode, mode)}
		}
	}
	return files, nil
}

// modeOf returns the first mode that is set.
func modeOf(modes ...*int32) os.FileMode {
	for _, mode := range modes {
		if mode != nil {
			return os.FileMode(*mode)
		}
	}
	return 0o644
}

func (p *pod) fields(items []corev1.DownwardAPIVolumeFile, mode *int32) (map[string]file, error) {
	files := map[string]file{}
	for _, item := range items {
		value, err := p.field(item.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		files[item.Path] = file{data: value, mode: modeOf(item.Mode, mode)}
	}
	return files, nil
}

// token returns the file of a token, which only the containers' user reads, if they have the same one.
func (p *pod) token(ctx context.Context, source *corev1.ServiceAccountTokenProjection) (map[string]file, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: p.key.Name, UID: p.uid},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	account := p.spec().ServiceAccountName
	request, err := p.node.client.CoreV1().ServiceAccounts(p.key.Namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("token of ServiceAccount %s: %w", account, err)
	}
	f := file{data: request.Status.Token, mode: 0o600}
	for i := range p.spec().Containers {
		uid := uidOf(p.spec(), &p.spec().Containers[i])
		if i > 0 && uid != f.owner {
			f.owner, f.mode = 0, 0o644
			break
		}
		f.owner = uid
	}
	return map[string]file{source.Path: f}, nil
}

// mounts returns what a container has besides what all have: its image, what the node gives it, its volumes, and what is
// injected.
func (p *pod) mounts(c *corev1.Container, image Image, user container.User, injected map[string][]byte) ([]container.Mount, error) {
	mounts := []container.Mount{
		{Source: p.hosts(), Target: "/etc/hosts"},
		{Source: p.resolvConf(), Target: "/etc/resolv.conf", ReadOnly: true},
	}
	for target, source := range image.Files {
		mounts = append(mounts, container.Mount{Source: source, Target: target, ReadOnly: true})
	}
	for _, m := range c.VolumeMounts {
		volumes := p.spec().Volumes
		i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		mounts = append(mounts, container.Mount{
			Source: filepath.Join(p.volume(m.Name), filepath.Clean("/"+m.SubPath)), Target: m.MountPath,
			ReadOnly: m.ReadOnly || i >= 0 && volumes[i].EmptyDir == nil,
		})
	}
	for target, data := range injected {
		source := filepath.Join(p.dir, "injected", c.Name, target)
		f := file{data: string(data), mode: 0o400, owner: user.UID}
		if err := f.write(source); err != nil {
			return nil, err
		}
		mounts = append(mounts, container.Mount{Source: source, Target: target, ReadOnly: true})
	}
	// One can be in another.
	slices.SortFunc(mounts, func(a, b container.Mount) int { return strings.Compare(a.Target, b.Target) })
	return mounts, nil
}

// allow returns no error for an object that need not exist.
func allow(err error, optional bool) error {
	if optional && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (p *pod) volume(name string) string    { return filepath.Join(p.dir, "volumes", name) }
func (p *pod) base(container string) string { return filepath.Join(p.dir, "roots", container) }
func (p *pod) hosts() string                { return filepath.Join(p.dir, "hosts") }
func (p *pod) resolvConf() string           { return filepath.Join(p.dir, "resolv.conf") }
