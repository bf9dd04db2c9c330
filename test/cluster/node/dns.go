//go:build linux

package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

const clusterDomain = "cluster.local"

// startDNS starts CoreDNS, and has the test ask it for names, too.
func (n *Node) startDNS(ctx context.Context, c *cluster.Cluster) error {
	port, err := cluster.FreePort()
	if err != nil {
		return err
	}
	ready := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	config := filepath.Join(n.dir, "Corefile")
	names := ""
	if len(n.options.Names) > 0 {
		names = "\thosts {\n"
		for name, address := range n.options.Names {
			names += fmt.Sprintf("\t\t%s %s.%s\n", address, name, clusterDomain)
		}
		names += "\t\tfallthrough\n\t}\n"
	}
	text := fmt.Sprintf(".:53 {\n\tbind %s\n\terrors\n\tready %s\n%s\tkubernetes %s in-addr.arpa {\n\t\tkubeconfig %s\n\t}\n}\n",
		DNS, ready, names, clusterDomain, c.Kubeconfig)
	resolvConf := filepath.Join(n.dir, "resolv.conf")
	for path, text := range map[string]string{config: text, resolvConf: fmt.Sprintf("nameserver %s\n", DNS)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if _, err := c.StartProcess(ctx, "coredns", "coredns", func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ready+"/ready", nil)
		if err != nil {
			return err
		}
		response, err := prober.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("coredns is not ready: %s", response.Status)
		}
		return nil
	}, "-conf", config); err != nil {
		return err
	}
	const used = "/etc/resolv.conf"
	if err := unix.Mount(resolvConf, used, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", used, err)
	}
	c.AtEnd(func() error { return unix.Unmount(used, unix.MNT_DETACH) })
	return nil
}
