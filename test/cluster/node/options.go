//go:build linux

package node

import (
	"context"
	"log/slog"
	"net/netip"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Options say what a node runs, and how.
type Options struct {
	// Images are what containers can be made from, by name. A name without a tag stands for all tags.
	Images map[string]Image
	// Spare says which Pods are left alone, so that they stay Pending; nil spares none.
	Spare func(*corev1.Pod) bool
	// Inject says what a Pod gets besides what it asks for, before its containers start, as a mesh's injector and network
	// plugin would see to. It is called again, a second later, after an error. Nil injects nothing.
	Inject func(context.Context, *corev1.Pod) (*Injection, error)
	// Names are what the cluster's DNS says of names in cluster.local, such as "web.default.svc", besides what it knows of Services:
	// of those that are no processes of this node.
	Names map[string]netip.Addr
	// Logger is told what goes wrong, and what happens to Pods at level debug; nil is slog.Default().
	Logger *slog.Logger
}

// Image is what a container is made from.
type Image struct {
	// Files are the files and folders that the image has, read-only: paths in the container, to paths on this machine. The
	// paths in the container can't be in /bin, /lib*, /sbin or /usr.
	Files map[string]string
	// Entrypoint is the command of containers that don't have one.
	Entrypoint []string
}

// Program returns an image with a program, at "/" and its name, which is the entry point. "/" is in PATH.
func Program(file string) Image {
	name := "/" + path.Base(file)
	return Image{Files: map[string]string{name: file}, Entrypoint: []string{name}}
}

// image returns the image with a name, which may have a tag or a digest.
func (o *Options) image(name string) (Image, bool) {
	if image, ok := o.Images[name]; ok {
		return image, true
	}
	repository, _, _ := strings.Cut(name, "@")
	if tag := strings.LastIndexByte(repository, ':'); tag > strings.LastIndexByte(repository, '/') {
		repository = repository[:tag]
	}
	image, ok := o.Images[repository]
	return image, ok
}

const (
	// SidecarUser is the user and group that sidecars run as.
	SidecarUser = 1337
	// SidecarPort is where TCP connections go that a Pod with a sidecar opens, at 127.0.0.1. Those of the sidecar and those
	// that stay in the Pod don't. SO_ORIGINAL_DST on an accepted connection says where it was to go.
	SidecarPort = 15001
)

// Injection is what a Pod gets besides what it asks for. It isn't seen in the API.
type Injection struct {
	// Env and Files are for each container of the Pod. Files are by absolute path; only the container's user reads them.
	Env   []corev1.EnvVar
	Files map[string][]byte
	// Sidecar runs beside the containers; nil if nothing does.
	Sidecar *Sidecar
}

// Sidecar is a process in the network namespace of a Pod that gets what the Pod sends by TCP. It runs before the containers
// start, and the Pod isn't ready while it isn't.
type Sidecar struct {
	Image string
	// Args are for the image's entry point. They and values of Env may have variables in them, as those of containers.
	Args []string
	Env  []corev1.EnvVar
	// Files are by absolute path; only the sidecar reads them.
	Files map[string][]byte
	// Ready says when it is ready; nil is as soon as it runs.
	Ready *corev1.Probe
}

// sidecarName is the container whose log is a sidecar's. No container of a Pod has such a name.
const sidecarName = "sidecar.injected"
