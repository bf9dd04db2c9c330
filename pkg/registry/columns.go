package registry

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
)

// column is a column of what kubectl get prints; wide columns are for -o wide only.
type column struct {
	name  string
	wide  bool
	value func(obj runtime.Object, age string) any
}

// columns prints the kinds that have no CRD to say how.
type columns []column

// ConvertToTable implements rest.TableConvertor.
func (c columns) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	if list, err := meta.ListAccessor(object); err == nil {
		table.ResourceVersion, table.Continue, table.RemainingItemCount = list.GetResourceVersion(), list.GetContinue(), list.GetRemainingItemCount()
	} else if m, err := meta.CommonAccessor(object); err == nil {
		table.ResourceVersion = m.GetResourceVersion()
	}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		table.ColumnDefinitions = c.definitions()
	}
	var err error
	table.Rows, err = metatable.MetaToTableRow(object, func(obj runtime.Object, _ metav1.Object, name, age string) ([]any, error) {
		cells := []any{name}
		for _, column := range c {
			cells = append(cells, column.value(obj, age))
		}
		return cells, nil
	})
	return table, err
}

func (c columns) definitions() []metav1.TableColumnDefinition {
	d := []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]}}
	for _, column := range c {
		var priority int32
		if column.wide {
			priority = 1
		}
		d = append(d, metav1.TableColumnDefinition{Name: column.name, Type: "string", Priority: priority})
	}
	return d
}

func age(_ runtime.Object, age string) any { return age }

var (
	namespaceColumns = columns{
		{name: "Status", value: func(obj runtime.Object, _ string) any { return string(obj.(*corev1.Namespace).Status.Phase) }},
		{name: "Age", value: age},
	}
	serviceColumns = columns{
		{name: "Type", value: func(obj runtime.Object, _ string) any { return string(obj.(*corev1.Service).Spec.Type) }},
		{name: "Cluster-IP", value: func(obj runtime.Object, _ string) any { return orNone(obj.(*corev1.Service).Spec.ClusterIP) }},
		{name: "External-IP", value: func(obj runtime.Object, _ string) any { return externalAddress(obj.(*corev1.Service)) }},
		{name: "Port(s)", value: func(obj runtime.Object, _ string) any { return servicePorts(obj.(*corev1.Service)) }},
		{name: "Age", value: age},
		{name: "Selector", wide: true, value: func(obj runtime.Object, _ string) any {
			return orNone(metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: obj.(*corev1.Service).Spec.Selector}))
		}},
	}
	secretColumns = columns{
		{name: "Type", value: func(obj runtime.Object, _ string) any { return string(obj.(*corev1.Secret).Type) }},
		{name: "Data", value: func(obj runtime.Object, _ string) any { return int64(len(obj.(*corev1.Secret).Data)) }},
		{name: "Age", value: age},
	}
	configMapColumns = columns{
		{name: "Data", value: func(obj runtime.Object, _ string) any {
			c := obj.(*corev1.ConfigMap)
			return int64(len(c.Data) + len(c.BinaryData))
		}},
		{name: "Age", value: age},
	}
	eventColumns = columns{
		{name: "Last Seen", value: func(obj runtime.Object, _ string) any { return lastSeen(obj.(*corev1.Event)) }},
		{name: "Type", value: func(obj runtime.Object, _ string) any { return obj.(*corev1.Event).Type }},
		{name: "Reason", value: func(obj runtime.Object, _ string) any { return obj.(*corev1.Event).Reason }},
		{name: "Object", value: func(obj runtime.Object, _ string) any {
			o := obj.(*corev1.Event).InvolvedObject
			return strings.ToLower(o.Kind) + "/" + o.Name
		}},
		{name: "Message", value: func(obj runtime.Object, _ string) any { return strings.TrimSpace(obj.(*corev1.Event).Message) }},
	}
	endpointSliceColumns = columns{
		{name: "AddressType", value: func(obj runtime.Object, _ string) any { return string(obj.(*discoveryv1.EndpointSlice).AddressType) }},
		{name: "Ports", value: func(obj runtime.Object, _ string) any { return slicePorts(obj.(*discoveryv1.EndpointSlice)) }},
		{name: "Endpoints", value: func(obj runtime.Object, _ string) any { return sliceEndpoints(obj.(*discoveryv1.EndpointSlice)) }},
		{name: "Age", value: age},
	}
)

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func externalAddress(s *corev1.Service) string {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return s.Spec.ExternalName
	}
	return orNone(strings.Join(s.Spec.ExternalIPs, ","))
}

func servicePorts(s *corev1.Service) string {
	var ports []string
	for _, p := range s.Spec.Ports {
		ports = append(ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	return orNone(strings.Join(ports, ","))
}

func slicePorts(s *discoveryv1.EndpointSlice) string {
	var ports []string
	for _, p := range s.Ports {
		if p.Port != nil {
			ports = append(ports, fmt.Sprint(*p.Port))
		}
	}
	if len(ports) == 0 {
		return "<unset>"
	}
	return strings.Join(ports, ",")
}

func sliceEndpoints(s *discoveryv1.EndpointSlice) string {
	const shown = 3
	var addresses []string
	for _, e := range s.Endpoints {
		addresses = append(addresses, e.Addresses...)
	}
	switch {
	case len(addresses) == 0:
		return "<unset>"
	case len(addresses) > shown:
		return fmt.Sprintf("%s + %d more...", strings.Join(addresses[:shown], ","), len(addresses)-shown)
	}
	return strings.Join(addresses, ",")
}

func lastSeen(e *corev1.Event) string {
	seen := e.LastTimestamp.Time
	if e.Series != nil {
		seen = e.Series.LastObservedTime.Time
	}
	if seen.IsZero() {
		seen = e.EventTime.Time
	}
	if seen.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(seen))
}
