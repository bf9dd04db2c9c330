package robustness

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// World is a cluster with two replicas, and a third one that only runs between rounds.
type World struct {
	Kube      *cluster.Cluster
	Replicas  []*Replica
	Reference *cluster.Replica
	Etcd      *cluster.Etcd

	client *clientv3.Client // of Etcd
	delay  string           // the file by which the disk of etcd is slow
}

// Replica is one that things happen to.
type Replica struct {
	*cluster.Replica
	// API and XDS are the ways of clients to it.
	API, Streams *cluster.Link
	// Direct is the administrator's client for it.
	Direct *rest.Config

	step string // the file by which its clock is off
}

// newWorld starts all of it, with programs that can be influenced.
func newWorld(ctx context.Context, kube *cluster.Cluster) (*World, error) {
	if _, err := cluster.Build(ctx, cluster.Server); err != nil {
		return nil, err
	}
	bin, err := buildPrograms(ctx, kube.Bin)
	if err != nil {
		return nil, err
	}
	kube.Bin = bin
	installed, err := kube.Install(ctx, cluster.InstallOptions{Flags: []string{"--replicas=3", "--channel=experimental"}})
	if err != nil {
		return nil, err
	}
	w := &World{Kube: kube, Etcd: installed.Etcd, Reference: installed.Replicas[2], delay: filepath.Join(kube.Dir, "disk-delay")}
	if err := errors.Join(w.Reference.Stop(), w.restartEtcd(ctx)); err != nil {
		return nil, err
	}
	var starting errgroup.Group
	for _, r := range installed.Replicas[:2] {
		replica := &Replica{Replica: r, step: filepath.Join(kube.Dir, r.Name+"-clock")}
		w.Replicas = append(w.Replicas, replica)
		starting.Go(func() error { return w.prepare(ctx, replica) })
	}
	if err := starting.Wait(); err != nil {
		return nil, err
	}
	for _, namespace := range []string{appNamespace, backendNamespace} {
		if _, err := kube.Kubectl(ctx, "create", "namespace", namespace); err != nil {
			return nil, err
		}
	}
	w.client, err = etcd.NewClient(storagebackend.TransportConfig{
		ServerList: []string{w.Etcd.URL}, CertFile: w.Etcd.Cert, KeyFile: w.Etcd.Key, TrustedCAFile: w.Etcd.CA,
	})
	if err != nil {
		return nil, err
	}
	kube.AtEnd(w.client.Close)
	return w, nil
}

// restartEtcd has etcd know where the delay of its disk is.
func (w *World) restartEtcd(ctx context.Context) error {
	w.Etcd.AddEnv(diskDelay + "=" + w.delay)
	return errors.Join(w.Etcd.Stop(), w.Etcd.Start(ctx))
}

// prepare has a replica know where the step of its clock is, and makes links to it.
func (w *World) prepare(ctx context.Context, r *Replica) (err error) {
	r.AddEnv(clockStep + "=" + r.step)
	if err := errors.Join(r.Stop(), r.Start(ctx)); err != nil {
		return err
	}
	if r.API, err = cluster.NewLink(r.Addr); err != nil {
		return err
	}
	if r.Streams, err = cluster.NewLink(r.Replica.XDS); err != nil {
		return err
	}
	w.Kube.AtEnd(func() error {
		r.API.Close()
		r.Streams.Close()
		return nil
	})
	if r.Direct, err = r.Replica.Direct(ctx, w.Kube.Admin); err != nil {
		return err
	}
	r.Direct.Host = "https://" + r.API.Addr()
	return nil
}

// setDelay has each fdatasync of etcd take longer.
func (w *World) setDelay(d time.Duration) error {
	return writeNumber(w.delay, d.Milliseconds())
}

// setStep has the clock of the replica be off.
func (r *Replica) setStep(d time.Duration) error {
	return writeNumber(r.step, int64(d/time.Second))
}

// restart starts the replica again, and as a kubelet does, again if it ends because something that it needs isn't there.
func (r *Replica) restart(ctx context.Context) (err error) {
	const attempts = 10
	for range attempts {
		if err = r.Start(ctx); err == nil {
			return nil
		}
		if r.Running() {
			return err
		}
	}
	return err
}

func writeNumber(file string, n int64) error {
	temporary := file + ".new" // never read half
	if err := os.WriteFile(temporary, []byte(strconv.FormatInt(n, 10)), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}

// Fault is something that goes wrong for a while.
type Fault struct {
	Name string
	// Begin makes it happen, and End undoes it.
	Begin, End func(context.Context) error
}

// faultsOfReplica are those that one replica suffers. They never happen at the same time to the same one.
func (w *World) faultsOfReplica(r *Replica, random *rand.Rand) []Fault {
	link := func(name string, l *cluster.Link) []Fault {
		mend := does(l.Mend)
		return []Fault{
			{r.Name + " is cut off from " + name, does(l.Cut), mend},
			{r.Name + " and " + name + " don't hear of each other", does(l.Stall), mend},
		}
	}
	faults := []Fault{
		{r.Name + " is killed", func(context.Context) error { return r.Kill() }, r.restart},
		{r.Name + " stands still", func(context.Context) error { return r.Pause() }, func(context.Context) error { return r.Resume() }},
		{r.Name + "'s clock is stepped", func(context.Context) error {
			// Certificates are valid an hour before they are made, and tokens for hours.
			return r.setStep(time.Duration(random.IntN(3600)-240) * time.Second)
		}, func(context.Context) error { return nil }},
	}
	faults = append(faults, link("etcd", r.Etcd)...)
	faults = append(faults, link("kube-apiserver", r.Cluster)...)
	faults = append(faults, link("its clients", r.API)...)
	return append(faults, link("its nodes", r.Streams)...)
}

func (w *World) faultsOfEtcd(random *rand.Rand) []Fault {
	e := w.Etcd
	return []Fault{
		{"etcd is killed", func(context.Context) error { return e.Kill() }, e.Start},
		{"etcd stands still", func(context.Context) error { return e.Pause() }, func(context.Context) error { return e.Resume() }},
		{"etcd's disk is slow", func(context.Context) error {
			return w.setDelay(time.Duration(5+random.IntN(400)) * time.Millisecond)
		}, func(context.Context) error { return w.setDelay(0) }},
	}
}

func does(f func()) func(context.Context) error {
	return func(context.Context) error {
		f()
		return nil
	}
}

// sleep says whether so much time has passed, and not ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
