//go:build linux

package node

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node/internal/container"
)

// capabilities are all that a container may ask for, by the names that Kubernetes has for them.
var capabilities = map[corev1.Capability]uintptr{
	"AUDIT_CONTROL":      unix.CAP_AUDIT_CONTROL,
	"AUDIT_WRITE":        unix.CAP_AUDIT_WRITE,
	"CHOWN":              unix.CAP_CHOWN,
	"DAC_OVERRIDE":       unix.CAP_DAC_OVERRIDE,
	"DAC_READ_SEARCH":    unix.CAP_DAC_READ_SEARCH,
	"FOWNER":             unix.CAP_FOWNER,
	"FSETID":             unix.CAP_FSETID,
	"IPC_LOCK":           unix.CAP_IPC_LOCK,
	"KILL":               unix.CAP_KILL,
	"MKNOD":              unix.CAP_MKNOD,
	"NET_ADMIN":          unix.CAP_NET_ADMIN,
	"NET_BIND_SERVICE":   unix.CAP_NET_BIND_SERVICE,
	"NET_BROADCAST":      unix.CAP_NET_BROADCAST,
	"NET_RAW":            unix.CAP_NET_RAW,
	"SETFCAP":            unix.CAP_SETFCAP,
	"SETGID":             unix.CAP_SETGID,
	"SETPCAP":            unix.CAP_SETPCAP,
	"SETUID":             unix.CAP_SETUID,
	"SYS_CHROOT":         unix.CAP_SYS_CHROOT,
	"SYS_NICE":           unix.CAP_SYS_NICE,
	"SYS_PTRACE":         unix.CAP_SYS_PTRACE,
	"SYS_RESOURCE":       unix.CAP_SYS_RESOURCE,
	"SYS_TIME":           unix.CAP_SYS_TIME,
	"SYS_TTY_CONFIG":     unix.CAP_SYS_TTY_CONFIG,
	"WAKE_ALARM":         unix.CAP_WAKE_ALARM,
	"CHECKPOINT_RESTORE": unix.CAP_CHECKPOINT_RESTORE,
}

// usual are the capabilities that containers have that ask for none, as with containerd.
var usual = sets.New[corev1.Capability]("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
	"NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")

// uidOf returns the user of a container. Images are root's.
func uidOf(spec *corev1.PodSpec, c *corev1.Container) int {
	var uid *int64
	if spec.SecurityContext != nil {
		uid = spec.SecurityContext.RunAsUser
	}
	if c.SecurityContext != nil {
		uid = cmp.Or(c.SecurityContext.RunAsUser, uid)
	}
	return int(value(uid))
}

// userOf returns who a container is, and what it may do.
func userOf(spec *corev1.PodSpec, c *corev1.Container) (container.User, error) {
	pod, own := spec.SecurityContext, c.SecurityContext
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	user := container.User{
		UID:             uidOf(spec, c),
		GID:             int(value(cmp.Or(own.RunAsGroup, pod.RunAsGroup))),
		NoNewPrivileges: own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation,
	}
	for _, group := range pod.SupplementalGroups {
		user.Groups = append(user.Groups, int(group))
	}
	if value(cmp.Or(own.RunAsNonRoot, pod.RunAsNonRoot)) && user.UID == 0 {
		return user, errors.New("the container has runAsNonRoot, and would run as root")
	}
	var err error
	user.Capabilities, err = capabilitiesOf(own.Capabilities)
	return user, err
}

func capabilitiesOf(asked *corev1.Capabilities) ([]uintptr, error) {
	names := usual.Clone()
	if asked != nil {
		if slices.Contains(asked.Drop, "ALL") {
			names = sets.New[corev1.Capability]()
		}
		if slices.Contains(asked.Add, "ALL") {
			names = sets.KeySet(capabilities)
		}
		names = names.Difference(sets.New(without(asked.Drop)...)).Insert(without(asked.Add)...)
	}
	var numbers []uintptr
	for name := range names {
		number, ok := capabilities[name]
		if !ok {
			return nil, fmt.Errorf("containers can't have capability %s", name)
		}
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// without returns capabilities without the prefix that they may have, and without ALL.
func without(names []corev1.Capability) []corev1.Capability {
	var result []corev1.Capability
	for _, name := range names {
		if name != "ALL" {
			result = append(result, corev1.Capability(strings.TrimPrefix(string(name), "CAP_")))
		}
	}
	return result
}
