package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// InstallEmbedded is Install with etcd in the replicas, which are the members of one etcd cluster. The namespace is the
// default one, as the names of pods begin with it.
func (c *Cluster) InstallEmbedded(ctx context.Context, members int, o InstallOptions) (*Installation, error) {
	i := &Installation{Namespace: serverName, cluster: c, options: o}
	if _, err := Build(ctx, Server); err != nil {
		return nil, err
	}
	var err error
	if i.Service, err = NewLink(); err != nil {
		return nil, err
	}
	c.AtEnd(func() error {
		i.Service.Close()
		return nil
	})
	c.AtEnd(i.Stop)
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		_, err := i.Command(ctx, append([]string{"install",
			"--etcd=embedded",
			"--etcd-replicas=" + strconv.Itoa(members),
			"--service-port=" + strconv.Itoa(i.Service.Port),
		}, o.Flags...)...)
		return err
	})
	both.Go(func() error { return i.runMembers(ctx) })
	return i, both.Wait()
}

// runMembers does what the cluster does with a StatefulSet and a Service.
func (i *Installation) runMembers(ctx context.Context) error {
	if err := i.redirectService(ctx); err != nil {
		return err
	}
	set, err := await(ctx, func(ctx context.Context) (*appsv1.StatefulSet, error) {
		return i.cluster.Clientset().AppsV1().StatefulSets(i.Namespace).Get(ctx, serverName, metav1.GetOptions{})
	})
	if err != nil {
		return err
	}
	pod := set.Spec.Template.Spec
	for _, claim := range set.Spec.VolumeClaimTemplates {
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
	peers := make([]string, *set.Spec.Replicas) // HOST:PORT of each
	for n := range peers {
		port, err := FreePort()
		if err != nil {
			return err
		}
		peers[n] = "127.0.0.1:" + strconv.Itoa(port)
	}
	for n := range peers {
		replica, err := i.newReplica(ctx, n, pod)
		if err != nil {
			return err
		}
		if err := replica.usePeers(peers, n); err != nil {
			return err
		}
		i.Replicas = append(i.Replicas, replica)
	}
	// None is ready before most of them run.
	starts, ctx := errgroup.WithContext(ctx)
	for _, replica := range i.Replicas {
		starts.Go(func() error { return replica.Start(ctx) })
	}
	return starts.Wait()
}

// usePeers has the members find each other on this machine: there is no DNS for pods.
func (r *Replica) usePeers(peers []string, self int) error {
	var replaced int
	for n, arg := range r.args {
		switch flag, value, _ := strings.Cut(arg, "="); flag {
		case "--embedded-etcd-peers":
			members := strings.Split(value, ",")
			if len(members) != len(peers) {
				return fmt.Errorf("%s does not name %d members", arg, len(peers))
			}
			for m := range members {
				name, _, _ := strings.Cut(members[m], "=")
				members[m] = name + "=https://" + peers[m]
			}
			r.args[n] = flag + "=" + strings.Join(members, ",")
			replaced++
		case "--embedded-etcd-listen-peer":
			r.args[n] = flag + "=" + peers[self]
			replaced++
		}
	}
	if replaced != 2 {
		return fmt.Errorf("%s is no member of an etcd cluster: %s", r.Name, strings.Join(r.args, " "))
	}
	return nil
}

// Wipe deletes what is in the volumes of a replica that doesn't run, as when its node is lost.
func (r *Replica) Wipe() error {
	volumes, err := filepath.Glob(filepath.Join(r.dir, r.Name+"-*"))
	if err != nil {
		return err
	}
	for _, volume := range volumes {
		if err := os.RemoveAll(volume); err != nil {
			return err
		}
		if err := os.Mkdir(volume, 0o700); err != nil {
			return err
		}
	}
	return nil
}
