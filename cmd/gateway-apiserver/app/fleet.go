package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// fleetPage is how many objects are asked for at once.
const fleetPage = 500

// The resources that the fleet command reads.
var (
	envoyNodes     = apis.FleetV1alpha1.WithResource("envoynodes")
	envoyFleets    = apis.FleetV1alpha1.WithResource("envoyfleets")
	gatewaysV1     = apis.GatewayV1.WithResource("gateways")
	gatewayClasses = apis.GatewayV1.WithResource("gatewayclasses")
)

// fleetCommand are the flags of the fleet command.
type fleetCommand struct {
	server   kubeconfigFlags
	gateway  gatewayFlag
	fleet    gatewayFlag
	rejected bool
	output   choiceFlag
}

func newFleetCommand() *cobra.Command {
	c := &fleetCommand{output: choiceFlag{choices: []string{"wide", "json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "List the nodes that are connected, and what they have acknowledged and rejected",
		Long: `List the Envoys and other xDS clients that are connected to a server, all of its replicas together: who each has
proven to be, its version, whose configuration it gets, since when it is connected, and whether it has acknowledged all of
that. They are the objects of the kind EnvoyNode, which kubectl can get and watch, too.

A node is current when it has acknowledged all that it should have, pending until then, and rejecting while it has rejected
something; --rejected prints what, and why in the node's own words. In a fleet of thousands, the list may be some seconds
late. What is waited for is better read in the condition gateway-apiserver.dev/Delivered of a Gateway:

  kubectl wait --for=condition=gateway-apiserver.dev/Delivered gateway/web`,
		Example: `  gateway-apiserver fleet

  # The nodes that serve a Gateway, with all that is known of them
  gateway-apiserver fleet --gateway shop/web -o yaml

  # The nodes that serve the Gateways of an EnvoyFleet
  gateway-apiserver fleet --fleet shop/edge

  # What was rejected
  gateway-apiserver fleet --rejected`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, _, err := c.server.load("fleet")
			if err != nil {
				return err
			}
			return c.run(cmd.Context(), config, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.server.path, "kubeconfig", "", "kubeconfig of the server; by default what KUBECONFIG says, then ~/.kube/config")
	flags.StringVar(&c.server.context, "context", "", "context of the kubeconfig; by default its current one")
	flags.Var(&c.gateway, "gateway", "only nodes that serve this Gateway, merged with others or not")
	flags.Var(&c.fleet, "fleet", "only nodes that serve Gateways of this EnvoyFleet, merged or not")
	flags.BoolVar(&c.rejected, "rejected", false, "only nodes that have rejected something; the table shows what")
	flags.VarP(&c.output, "output", "o", "print more columns, or all that is known as JSON or YAML")
	cmd.MarkFlagsMutuallyExclusive("gateway", "fleet")
	return cmd
}

func (c *fleetCommand) run(ctx context.Context, config *rest.Config, stdout, stderr io.Writer) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	nodes, err := c.nodes(ctx, client)
	if err != nil {
		return err
	}
	if c.rejected {
		nodes = slices.DeleteFunc(nodes, func(n fleetv1alpha1.EnvoyNode) bool { return n.Status.Rejections == 0 })
	}
	slices.SortFunc(nodes, func(a, b fleetv1alpha1.EnvoyNode) int {
		return cmp.Or(cmp.Compare(a.Status.Scope, b.Status.Scope), cmp.Compare(a.Status.NodeID, b.Status.NodeID))
	})
	switch c.output.value {
	case "json", "yaml":
		return printNodes(stdout, nodes, c.output.value)
	}
	if len(nodes) == 0 {
		fmt.Fprintln(stderr, "no nodes")
		return nil
	}
	rows := nodeRows(nodes, c.output.value == "wide", time.Now())
	if c.rejected {
		rows = rejectedRows(nodes)
	}
	out := tabwriter.NewWriter(stdout, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(out, strings.Join(row, "\t"))
	}
	return out.Flush()
}

// nodes returns the nodes that the flags ask for. Those of a Gateway that is merged with others get the configuration of its
// EnvoyFleet.
func (c *fleetCommand) nodes(ctx context.Context, client dynamic.Interface) ([]fleetv1alpha1.EnvoyNode, error) {
	switch {
	case c.fleet.Name != "":
		return nodesOfFleet(ctx, client, c.fleet)
	case c.gateway.Name == "":
		return listNodes(ctx, client, fields.Everything())
	}
	fleet, err := mergedFleet(ctx, client, types.NamespacedName(c.gateway))
	if err != nil {
		return nil, err
	}
	if fleet.Name != "" {
		return listNodes(ctx, client, fields.OneTermEqualSelector("status.fleet", fleet.String()))
	}
	return listNodes(ctx, client, fields.OneTermEqualSelector("status.gateway", c.gateway.String()))
}

// nodesOfFleet returns the nodes that serve the Gateways of an EnvoyFleet. If it doesn't merge them, a node serves one of them, or waits
// for the first.
func nodesOfFleet(ctx context.Context, client dynamic.Interface, name gatewayFlag) ([]fleetv1alpha1.EnvoyNode, error) {
	fleet := &fleetv1alpha1.EnvoyFleet{}
	found, err := read(ctx, client.Resource(envoyFleets).Namespace(name.Namespace), name.Name, fleet)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading EnvoyFleet %s: %w", name.String(), err)
	case !found:
		return nil, fmt.Errorf("the server has no EnvoyFleet %s; \"kubectl get envoyfleets --all-namespaces\" lists those that it has", name.String())
	case fleet.Spec.MergeGateways:
		return listNodes(ctx, client, fields.OneTermEqualSelector("status.fleet", name.String()))
	}
	gateways, err := gatewaysOf(ctx, client, name)
	if err != nil {
		return nil, err
	}
	nodes, err := listNodes(ctx, client, fields.Everything())
	return slices.DeleteFunc(nodes, func(n fleetv1alpha1.EnvoyNode) bool {
		return n.Status.Fleet != name.String() && !gateways.Has(n.Status.Gateway)
	}), err
}

// gatewaysOf returns the Gateways of an EnvoyFleet, as NAMESPACE/NAME.
func gatewaysOf(ctx context.Context, client dynamic.Interface, fleet gatewayFlag) (sets.Set[string], error) {
	classes := sets.Set[string]{}
	if err := list(ctx, client.Resource(gatewayClasses), metav1.ListOptions{}, func(class *gatewayv1.GatewayClass) {
		if classFleet(class) == fleet {
			classes.Insert(class.Name)
		}
	}); err != nil {
		return nil, fmt.Errorf("listing GatewayClasses: %w", err)
	}
	namespace := fleet.Namespace // of Gateways that refer to it themselves
	if len(classes) > 0 {
		namespace = metav1.NamespaceAll
	}
	gateways := sets.Set[string]{}
	if err := list(ctx, client.Resource(gatewaysV1).Namespace(namespace), metav1.ListOptions{}, func(gateway *gatewayv1.Gateway) {
		if own, refers := ownFleet(gateway); own == fleet || !refers && classes.Has(string(gateway.Spec.GatewayClassName)) {
			gateways.Insert(gateway.Namespace + "/" + gateway.Name)
		}
	}); err != nil {
		return nil, fmt.Errorf("listing Gateways: %w", err)
	}
	return gateways, nil
}

// mergedFleet returns the EnvoyFleet that merges a Gateway with others, if one does. Nodes may name a Gateway that isn't there.
func mergedFleet(ctx context.Context, client dynamic.Interface, name types.NamespacedName) (none gatewayFlag, err error) {
	gateway := &gatewayv1.Gateway{}
	if found, err := read(ctx, client.Resource(gatewaysV1).Namespace(name.Namespace), name.Name, gateway); !found || err != nil {
		return none, err
	}
	fleet, refers := ownFleet(gateway)
	if !refers {
		class := &gatewayv1.GatewayClass{}
		if found, err := read(ctx, client.Resource(gatewayClasses), string(gateway.Spec.GatewayClassName), class); !found || err != nil {
			return none, err
		}
		fleet = classFleet(class)
	}
	if fleet.Name == "" {
		return none, nil
	}
	merges := &fleetv1alpha1.EnvoyFleet{}
	if found, err := read(ctx, client.Resource(envoyFleets).Namespace(fleet.Namespace), fleet.Name, merges); !found || err != nil || !merges.Spec.MergeGateways {
		return none, err
	}
	return fleet, nil
}

// ownFleet returns the EnvoyFleet that a Gateway refers to itself, and whether it refers to anything: that takes the place of what its
// class refers to.
func ownFleet(gateway *gatewayv1.Gateway) (fleet gatewayFlag, refers bool) {
	if gateway.Spec.Infrastructure == nil || gateway.Spec.Infrastructure.ParametersRef == nil {
		return gatewayFlag{}, false
	}
	if ref := gateway.Spec.Infrastructure.ParametersRef; ref.Kind == "EnvoyFleet" && ref.Group == fleetv1alpha1.GroupName {
		fleet = gatewayFlag{Namespace: gateway.Namespace, Name: ref.Name}
	}
	return fleet, true
}

// classFleet returns the EnvoyFleet of the Gateways of a class that refer to none themselves, if there is one.
func classFleet(class *gatewayv1.GatewayClass) (fleet gatewayFlag) {
	if ref := class.Spec.ParametersRef; ref != nil && ref.Kind == "EnvoyFleet" && ref.Group == fleetv1alpha1.GroupName && ref.Namespace != nil {
		fleet = gatewayFlag{Namespace: string(*ref.Namespace), Name: ref.Name}
	}
	return fleet
}

// read reads an object into one of its Go type, and says whether there is one.
func read(ctx context.Context, client dynamic.ResourceInterface, name string, into any) (bool, error) {
	o, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into)
}

// listNodes returns the EnvoyNodes that a selector selects.
func listNodes(ctx context.Context, client dynamic.Interface, selector fields.Selector) ([]fleetv1alpha1.EnvoyNode, error) {
	nodes := []fleetv1alpha1.EnvoyNode{}
	err := list(ctx, client.Resource(envoyNodes), metav1.ListOptions{FieldSelector: selector.String()}, func(node *fleetv1alpha1.EnvoyNode) {
		nodes = append(nodes, *node)
	})
	switch {
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		return nil, errors.New("the server has no EnvoyNodes: it is another one than gateway-apiserver, or an older release")
	case err != nil:
		return nil, fmt.Errorf("listing EnvoyNodes: %w", err)
	}
	return nodes, nil
}

// list has each of the objects that options select read into one of its Go type.
func list[T any](ctx context.Context, client dynamic.ResourceInterface, options metav1.ListOptions, each func(*T)) error {
	options.Limit = fleetPage
	for {
		page, err := client.List(ctx, options)
		if err != nil {
			return err
		}
		for i := range page.Items {
			into := new(T)
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(page.Items[i].Object, into); err != nil {
				return fmt.Errorf("reading %s: %w", page.Items[i].GetName(), err)
			}
			each(into)
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// printNodes prints nodes as a list of the API, as kubectl does.
func printNodes(w io.Writer, nodes []fleetv1alpha1.EnvoyNode, format string) error {
	list := unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
	for i := range nodes {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&nodes[i])
		if err != nil {
			return err
		}
		list.Items = append(list.Items, unstructured.Unstructured{Object: content})
	}
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "    ")
		return encoder.Encode(list.UnstructuredContent())
	}
	out, err := yaml.Marshal(list.UnstructuredContent())
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// nodeRows has a row for each node.
func nodeRows(nodes []fleetv1alpha1.EnvoyNode, wide bool, now time.Time) [][]string {
	header := []string{"NODE", "SERVES", "VERSION", "STATE", "SINCE", "IDENTITY"}
	if wide {
		header = append(header, "CLUSTER", "PROTOCOL", "REPLICA", "ACKNOWLEDGED")
	}
	rows := [][]string{header}
	for i := range nodes {
		s := &nodes[i].Status
		row := []string{s.NodeID, s.Scope, s.Version, nodeState(s), duration.HumanDuration(now.Sub(s.ConnectedSince.Time)), s.Identity}
		if wide {
			var acknowledged []string
			for _, a := range s.Acknowledged {
				acknowledged = append(acknowledged, a.Type+"="+a.Version)
			}
			row = append(row, s.Cluster, s.Protocol, s.Replica, strings.Join(acknowledged, ","))
		}
		rows = append(rows, cells(row))
	}
	return rows
}

// nodeState says in a few words how far a node is.
func nodeState(s *fleetv1alpha1.EnvoyNodeStatus) string {
	switch {
	case s.Rejections > 0:
		return fmt.Sprintf("rejecting (%d)", s.Rejections)
	case s.Current:
		return "current"
	}
	return "pending"
}

// rejectedRows has a row for each resource that a node has rejected.
func rejectedRows(nodes []fleetv1alpha1.EnvoyNode) [][]string {
	rows := [][]string{{"NODE", "SERVES", "TYPE", "NAME", "VERSION", "MESSAGE"}}
	for i := range nodes {
		s := &nodes[i].Status
		for _, r := range s.Rejected {
			rows = append(rows, cells([]string{s.NodeID, s.Scope, r.Type, r.Name, r.Version, r.Message}))
		}
		if more := int(s.Rejections) - len(s.Rejected); more > 0 {
			rows = append(rows, cells([]string{s.NodeID, s.Scope, "", "", "", fmt.Sprintf("and %d more", more)}))
		}
	}
	return rows
}

// cells makes values fit for a table: what a terminal would act on is escaped.
func cells(row []string) []string {
	for i, cell := range row {
		if strings.ContainsFunc(cell, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			quoted := strconv.QuoteToGraphic(cell)
			cell = quoted[1 : len(quoted)-1]
		}
		row[i] = cmp.Or(cell, none)
	}
	return row
}
