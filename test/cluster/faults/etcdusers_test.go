package faults

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// etcdRole is the role of the server's user in etcd, and rootPassword what shows that one may change it.
const etcdRole, rootPassword = "server", "root"

// deny makes users of an etcd that has none: the one of the server's certificate may read everything, and write nothing.
func (s *etcdScene) deny() error {
	config, err := clientTLS(s.installed.Etcd)
	if err != nil {
		return err
	}
	ctx, user := s.Context(), config.Certificates[0].Leaf.Subject.CommonName
	_, rootErr := s.client.UserAdd(ctx, "root", rootPassword)
	_, rootRoleErr := s.client.RoleAdd(ctx, "root")
	_, rootGrantErr := s.client.UserGrantRole(ctx, "root", "root")
	_, userErr := s.client.UserAddWithOptions(ctx, user, "", &clientv3.UserAddOptions{NoPassword: true})
	_, roleErr := s.client.RoleAdd(ctx, etcdRole)
	_, grantErr := s.client.UserGrantRole(ctx, user, etcdRole)
	if err := errors.Join(rootErr, rootRoleErr, rootGrantErr, userErr, roleErr, grantErr,
		letServer(ctx, s.client, clientv3.PermissionType(clientv3.PermRead))); err != nil {
		return err
	}
	_, err = s.client.AuthEnable(ctx)
	return err
}

// allow lets the server's user write, too.
func (s *etcdScene) allow() error {
	config, err := clientTLS(s.installed.Etcd)
	if err != nil {
		return err
	}
	root, err := clientv3.New(clientv3.Config{
		Endpoints: s.client.Endpoints(), TLS: config, Username: "root", Password: rootPassword, Logger: zap.NewNop(), Context: s.Context(),
	})
	if err != nil {
		return err
	}
	return errors.Join(letServer(s.Context(), root, clientv3.PermissionType(clientv3.PermReadWrite)), root.Close())
}

// letServer says what the server may do with all keys.
func letServer(ctx context.Context, client *clientv3.Client, permission clientv3.PermissionType) error {
	const from, on = "\x00", "\x00" // every key
	_, err := client.RoleGrantPermission(ctx, etcdRole, from, on, permission)
	return err
}

// clientTLS is with the certificate that the server shows.
func clientTLS(e *cluster.Etcd) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(e.Cert, e.Key)
	if err != nil {
		return nil, err
	}
	authorities, err := os.ReadFile(e.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authorities)
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots}, nil
}
