package etcd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

func TestTroubleOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want Trouble
	}{
		{nil, ""},
		{errors.New("anything else"), ""},
		{storage.NewKeyNotFoundError("key", 1), ""},
		{rpctypes.ErrCompacted, ""},
		{context.Canceled, ""},
		{rpctypes.ErrNoSpace, NoSpace},
		{fmt.Errorf("storing: %w", rpctypes.Error(rpctypes.ErrGRPCNoSpace)), NoSpace},
		{rpctypes.ErrCorrupt, Corrupt},
		{rpctypes.ErrNoLeader, NoLeader},
		{rpctypes.ErrLeaderChanged, NoLeader},
		{rpctypes.ErrTimeout, Slow},
		{rpctypes.ErrTimeoutDueToConnectionLost, Slow},
		{context.DeadlineExceeded, Slow},
		{status.Error(codes.DeadlineExceeded, "late"), Slow},
		{rpctypes.ErrPermissionDenied, Denied},
		{status.Error(codes.Unavailable, "connection refused"), Unreachable},
		{rpctypes.ErrStopped, Unreachable},
	} {
		if got := TroubleOf(test.err); got != test.want {
			t.Errorf("%v is the trouble %q, want %q", test.err, got, test.want)
		}
	}
}

// TestWritable asks an etcd that takes writes, and then is gone.
func TestWritable(t *testing.T) {
	t.Parallel()
	server, err := Start(t.Context(), filepath.Join(t.TempDir(), "etcd"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(storagebackend.TransportConfig{ServerList: []string{server.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := NewWritable(client, "/registry").Check(t.Context()); err != nil {
		t.Error(err)
	}
	server.Stop()
	if err := NewWritable(client, "/registry").Check(t.Context()); err == nil {
		t.Error("an etcd that is gone takes writes")
	}
}
