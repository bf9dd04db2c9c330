package etcd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/durable"
)

const (
	// socketName is the socket for clients in a directory, or a symbolic link to it.
	socketName = "etcd.sock"
	// aloneName is the member of a cluster of one.
	aloneName = "embedded"
	// restoring is a directory beside etcd's own one, in which a backup is restored.
	restoring = "etcd.restoring"
	// connectTimeout is for a socket of this host.
	connectTimeout = 5 * time.Second
)

// EndpointOf returns the address for etcd clients of the Server that runs on dir, if one does: in this process or another.
func EndpointOf(dir string) (endpoint string, running bool) {
	socket := filepath.Join(dir, socketName)
	if target, err := os.Readlink(socket); err == nil {
		socket = target
	}
	socket, err := filepath.Abs(socket)
	if err != nil {
		return "", false
	}
	connection, err := net.DialTimeout("unix", socket, connectTimeout)
	if err != nil { // what is left of a Server that died
		return "", false
	}
	connection.Close()
	return "unix://" + socket, true
}

// HasData says whether a Server has ever run on dir.
func HasData(dir string) bool {
	_, err := os.Stat(databasePath(dataDir(dir)))
	return err == nil
}

// Restore makes dir the directory of a cluster of one that has never run; there may be none yet in it. restore writes what
// etcd has to path, which does not exist, as the member of that name and peer URL. Until it has returned without an error,
// no Server starts on dir, but Restore may be called again.
func Restore(dir string, restore func(path, name, peerURL string) error) error {
	if _, err := os.Stat(dataDir(dir)); err == nil {
		return fmt.Errorf("there is an etcd in it already: a backup is restored into a new directory, so move %s away first", dataDir(dir))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part := filepath.Join(dir, restoring)
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := os.MkdirAll(part, 0o700); err != nil {
		return err
	}
	if err := durable.SyncDirs(dir, filepath.Dir(dir)); err != nil {
		return err
	}
	whole := filepath.Join(part, filepath.Base(dataDir(dir)))
	if err := restore(whole, aloneName, embed.DefaultInitialAdvertisePeerURLs); err != nil {
		return err
	}
	if err := durable.SyncDirs(whole, part); err != nil {
		return err
	}
	if err := os.Rename(whole, dataDir(dir)); err != nil {
		return err
	}
	return errors.Join(durable.SyncDirs(dir), os.RemoveAll(part))
}

// checkRestored refuses a directory on which Restore has not returned.
func checkRestored(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, restoring)); err != nil || HasData(dir) {
		return nil
	}
	return fmt.Errorf("a backup was being restored into %s, and not completed: restore it again, or remove the directory", dir)
}
