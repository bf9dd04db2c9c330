package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/client"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// nodeFlags are what the xds command says of itself, besides what it asks for.
type nodeFlags struct {
	id, cluster string
	metadata    map[string]string
}

func (f *nodeFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.id, "node-id", "", "the id of the node to be taken for (default one that is made up)")
	flags.StringVar(&f.cluster, "node-cluster", "", "the cluster of the node to be taken for (default the NAMESPACE/NAME asked for)")
	flags.StringToStringVar(&f.metadata, "node-metadata", nil, "metadata of the node to be taken for, as `KEY=VALUE`; may be repeated")
}

func (f *nodeFlags) set() bool { return f.id != "" || f.cluster != "" || len(f.metadata) > 0 }

// query returns what to ask the server for, and how an error names that.
func (o *xdsOptions) query() (client.Query, string, error) {
	id := cmp.Or(o.node.id, fmt.Sprintf("gateway-apiserver-xds-%d", os.Getpid()))
	node, subject := &corev3.Node{Id: id}, "this node: check that its Gateways' status says Programmed"
	var asked int
	var err error
	if o.gateway.Name != "" {
		asked++
		subject = "Gateway " + o.gateway.String() + ": check the name, and that its status says Programmed"
		node, err = bootstrap.Node(o.gateway.String(), id)
	}
	if o.fleet.Name != "" {
		asked++
		subject = "EnvoyFleet " + o.fleet.String() + ": check the name, that it has mergeGateways, and that the status of a Gateway of it says Programmed"
		node, err = bootstrap.FleetNode(o.fleet.String(), id)
	}
	if o.sidecar != "" {
		asked++
		subject = "sidecars of namespace " + o.sidecar.String()
		node, err = bootstrap.SidecarNode(o.sidecar.String(), id)
	}
	if len(o.mesh) > 0 {
		asked++
		if o.proxyless != "" {
			node, err = bootstrap.ProxylessNode(o.proxyless.String(), id)
		}
		subject = "the listener " + strings.Join(o.mesh, ", ") + ": check the names, and that each Service has that port"
	}
	if err != nil {
		return client.Query{}, "", err
	}
	if o.proxyless != "" && len(o.mesh) == 0 {
		return client.Query{}, "", errors.New("--proxyless NAMESPACE is where a client is: say with --mesh SERVICE.NAMESPACE:PORT what it dials")
	}
	if asked > 1 || asked == 0 && !o.node.set() {
		return client.Query{}, "", errors.New("one of --gateway NAMESPACE/NAME, for example default/web, --fleet NAMESPACE/NAME, --sidecar NAMESPACE and " +
			"--mesh SERVICE.NAMESPACE:PORT is required, or else --node-id, --node-cluster or --node-metadata of an Envoy that names none")
	}
	node.Cluster = cmp.Or(o.node.cluster, node.Cluster)
	node.UserAgentName = "gateway-apiserver xds"
	if node.Metadata == nil {
		node.Metadata = &structpb.Struct{Fields: map[string]*structpb.Value{}}
	}
	node.Metadata.Fields[nodes.ObserverKey] = structpb.NewStringValue("true")
	for key, value := range o.node.metadata {
		node.Metadata.Fields[key] = structpb.NewStringValue(value)
	}
	return client.Query{Node: node, Listeners: o.mesh}, subject, nil
}
