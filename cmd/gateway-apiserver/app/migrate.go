package app

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/migration"
)

// migrate brings what an older release has stored to the form of this one.
func (s *standalone) migrate(ctx context.Context) {
	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: []string{s.etcd.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		klog.FromContext(ctx).Error(err, "Connecting to etcd to look for objects stored by an older release")
		return
	}
	defer client.Close()
	migration.Run(ctx, client, storagePrefix, s.api.Stores)
}
