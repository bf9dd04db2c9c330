package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
)

// embeddedOptions are the flags of an etcd in the process.
type embeddedOptions struct {
	dir        string
	name       string
	peerFlag   []string // NAME=URL
	listenPeer string
	tls        etcd.PeerTLS

	peers map[string]string // URLs by name, after validate
}

func newEmbeddedOptions() *embeddedOptions {
	return &embeddedOptions{listenPeer: ":2380"}
}

func (o *embeddedOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.dir, "embedded-etcd", "", "directory for the data of an etcd that runs in this process; excludes --etcd-servers")
	flags.StringVar(&o.name, "embedded-etcd-name", "", "name of this member in --embedded-etcd-peers; by default the hostname")
	flags.StringSliceVar(&o.peerFlag, "embedded-etcd-peers", nil,
		"all members of the etcd cluster, this one included, as NAME=https://HOST:PORT,...: the same on all, 3 or another odd number; without it, this is the only one")
	flags.StringVar(&o.listenPeer, "embedded-etcd-listen-peer", o.listenPeer, "address for the other members, HOST:PORT")
	flags.StringVar(&o.tls.CertFile, "embedded-etcd-cert-file", "",
		"certificate (PEM) that this member shows to the others, as a server and as a client, for the host in its URL; made by --self-signed if it is not given")
	flags.StringVar(&o.tls.KeyFile, "embedded-etcd-key-file", "", "private key (PEM) of --embedded-etcd-cert-file")
	flags.StringVar(&o.tls.TrustedCAFile, "embedded-etcd-trusted-ca-file", "", "CA (PEM) of the members' certificates")
}

// enabled says whether there is an etcd in the process.
func (o *embeddedOptions) enabled() bool { return o.dir != "" }

// ownPeerTLS says whether the certificates for peers are given, so that none has to be made.
func (o *embeddedOptions) ownPeerTLS() bool { return o.tls != etcd.PeerTLS{} }

// peerHost is where the other members reach this one, for its certificate: a name or an IP address. It is empty if there
// are no others. validate comes first.
func (o *embeddedOptions) peerHost() string {
	u, err := url.Parse(o.peers[o.name])
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// validate checks the flags, and completes them.
func (o *embeddedOptions) validate() []error {
	if !o.enabled() {
		if o.name != "" || len(o.peerFlag) > 0 || o.ownPeerTLS() {
			return []error{errors.New("--embedded-etcd-*: give --embedded-etcd, the directory for the data, too")}
		}
		return nil
	}
	if len(o.peerFlag) == 0 {
		if o.ownPeerTLS() {
			return []error{errors.New("--embedded-etcd-cert-file, --embedded-etcd-key-file and --embedded-etcd-trusted-ca-file are for other members: name them by --embedded-etcd-peers")}
		}
		return nil
	}
	errs := o.validatePeers()
	if o.name == "" {
		host, err := os.Hostname()
		if err != nil {
			return append(errs, fmt.Errorf("--embedded-etcd-name: give it, as this machine has no name: %w", err))
		}
		o.name = host
	}
	if _, ok := o.peers[o.name]; !ok && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("--embedded-etcd-name %s is not in --embedded-etcd-peers: want one of %s", o.name, strings.Join(slices.Sorted(maps.Keys(o.peers)), ", ")))
	}
	if _, _, err := net.SplitHostPort(o.listenPeer); err != nil {
		errs = append(errs, fmt.Errorf("--embedded-etcd-listen-peer %s: want HOST:PORT: %w", o.listenPeer, err))
	}
	if o.ownPeerTLS() && (o.tls.CertFile == "" || o.tls.KeyFile == "" || o.tls.TrustedCAFile == "") {
		errs = append(errs, errors.New("--embedded-etcd-cert-file, --embedded-etcd-key-file and --embedded-etcd-trusted-ca-file go together: give all, or none and --self-signed"))
	}
	return errs
}

func (o *embeddedOptions) validatePeers() (errs []error) {
	o.peers = map[string]string{}
	urls := map[string]bool{}
	for _, peer := range o.peerFlag {
		name, raw, _ := strings.Cut(peer, "=")
		u, err := url.Parse(raw)
		switch {
		case name == "" || err != nil || u.Hostname() == "" || u.Port() == "" || raw != u.Scheme+"://"+u.Host:
			errs = append(errs, fmt.Errorf("--embedded-etcd-peers %s: want NAME=https://HOST:PORT", peer))
		case u.Scheme != "https":
			errs = append(errs, fmt.Errorf("--embedded-etcd-peers %s: members only talk over mutual TLS: use https", peer))
		case o.peers[name] != "":
			errs = append(errs, fmt.Errorf("--embedded-etcd-peers has two members with the name %s", name))
		case urls[raw]:
			errs = append(errs, fmt.Errorf("--embedded-etcd-peers has two members at %s", raw))
		default:
			o.peers[name], urls[raw] = raw, true
		}
	}
	if n := len(o.peerFlag); n%2 == 0 {
		errs = append(errs, fmt.Errorf("--embedded-etcd-peers has %d members: an even number survives no more failures than one less; use 1, 3 or 5", n))
	}
	return errs
}

// start runs etcd, and returns when it can be written to: a member of several may wait for others for long. peerTLS is
// used if the flags give no certificates. validate comes first.
func (o *embeddedOptions) start(ctx context.Context, peerTLS etcd.PeerTLS) (*etcd.Server, error) {
	if len(o.peers) == 0 {
		return etcd.Start(ctx, o.dir)
	}
	if o.ownPeerTLS() {
		peerTLS = o.tls
	}
	return etcd.StartMember(ctx, etcd.Member{Dir: o.dir, Name: o.name, Peers: o.peers, Listen: o.listenPeer, TLS: peerTLS})
}
