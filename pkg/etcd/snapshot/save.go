package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/durable"
)

// answerTimeout is when an etcd that doesn't answer is given up. The snapshot itself may take longer.
const answerTimeout = 10 * time.Second

// Save writes what etcd has to path, whole or not at all and with mode 0600, and returns it opened. The client must have
// one endpoint, as a snapshot is that of one member. Whatever was acknowledged by any member before Save was called is in
// it. The file is checked as Open does it; one that does not check out is an error, and is not left behind.
func Save(ctx context.Context, client *clientv3.Client, path, prefix string) (*File, error) {
	revision, err := current(ctx, client)
	if err != nil {
		return nil, err
	}
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(part.Name()) // fails once it is renamed
	if err := errors.Join(stream(ctx, client, part), part.Sync(), part.Close()); err != nil {
		return nil, fmt.Errorf("saving a snapshot of etcd: %w", err)
	}
	f, err := open(part.Name(), "it", prefix)
	if err != nil {
		return nil, fmt.Errorf("the snapshot of etcd does not check out, and was removed: %w", err)
	}
	if f.Revision < revision {
		err = fmt.Errorf("the snapshot of etcd ends at revision %d, but %d was committed before: is the member damaged?", f.Revision, revision)
	} else {
		err = errors.Join(os.Rename(part.Name(), path), durable.SyncDirs(filepath.Dir(path)))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// current returns the revision of etcd, once the member that is asked has caught up with it: a follower may lag, and its
// snapshot with it.
func current(ctx context.Context, client *clientv3.Client) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := reach(ctx, client); err != nil {
		return 0, err
	}
	got, err := client.Get(ctx, "\x00", clientv3.WithKeysOnly()) // linearizable
	if err != nil {
		return 0, fmt.Errorf("etcd does not answer: %w", err)
	}
	return got.Header.Revision, nil
}

// reach asks etcd for anything. Elsewhere the client tries as long as it may, and then doesn't say why there is no connection.
func reach(ctx context.Context, client *clientv3.Client) error {
	if _, err := etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Status(ctx, &etcdserverpb.StatusRequest{}); err != nil {
		return fmt.Errorf("etcd does not answer: %s", status.Convert(err).Message())
	}
	return nil
}

func stream(ctx context.Context, client *clientv3.Client, to io.Writer) error {
	got, err := client.SnapshotWithVersion(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, got.Snapshot)
	return errors.Join(err, got.Snapshot.Close())
}
