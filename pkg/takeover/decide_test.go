package takeover

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// parse reads an object of the side that keeps its records in annotation.
func parse(t *testing.T, text, annotation string) *object {
	t.Helper()
	if text == "" {
		return nil
	}
	o := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	status, _, _ := unstructured.NestedMap(o.Object, "status")
	return &object{Unstructured: o, content: contentOf(o, status), record: recordOf(o, annotation)}
}

const (
	route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: a
  namespace: n
  uid: one
  resourceVersion: "10"
  generation: 2
  creationTimestamp: "2024-01-01T00:00:00Z"
  labels: {app: red}
  managedFields:
  - {manager: m, operation: Update, apiVersion: gateway.networking.k8s.io/v1, time: "2024-01-01T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:metadata": {}, "f:spec": {}}}
spec: {hostnames: [a]}
status: {parents: [{controllerName: other}]}
`
	// The same, written again.
	routeSpec = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: a
  namespace: n
  uid: one
  resourceVersion: "20"
  generation: 3
  creationTimestamp: "2024-01-01T00:00:00Z"
  labels: {app: red}
  managedFields:
  - {manager: m, operation: Update, apiVersion: gateway.networking.k8s.io/v1, time: "2024-01-01T00:01:00Z", fieldsType: FieldsV1, fieldsV1: {"f:metadata": {}, "f:spec": {}}}
spec: {hostnames: [b]}
status: {parents: [{controllerName: other}]}
`
	routeLabels = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: a
  namespace: n
  uid: one
  resourceVersion: "20"
  generation: 2
  creationTimestamp: "2024-01-01T00:00:00Z"
  labels: {app: blue}
  managedFields:
  - {manager: m, operation: Update, apiVersion: gateway.networking.k8s.io/v1, time: "2024-01-01T00:01:00Z", fieldsType: FieldsV1, fieldsV1: {"f:metadata": {}, "f:spec": {}}}
spec: {hostnames: [a]}
status: {parents: [{controllerName: other}]}
`
	routeStatus = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: a
  namespace: n
  uid: one
  resourceVersion: "20"
  generation: 2
  creationTimestamp: "2024-01-01T00:00:00Z"
  labels: {app: red}
  managedFields:
  - {manager: m, operation: Update, apiVersion: gateway.networking.k8s.io/v1, time: "2024-01-01T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:metadata": {}, "f:spec": {}}}
  - {manager: c, operation: Update, apiVersion: gateway.networking.k8s.io/v1, subresource: status, time: "2024-01-01T00:01:00Z", fieldsType: FieldsV1, fieldsV1: {"f:status": {}}}
spec: {hostnames: [a]}
status: {parents: [{controllerName: other, conditions: []}]}
`
	routeAnew = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a, namespace: n, uid: two, resourceVersion: "30", generation: 1, creationTimestamp: "2024-02-01T00:00:00Z", labels: {app: green}}
spec: {hostnames: [a]}
`
	routeDeleting = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a, namespace: n, uid: one, resourceVersion: "20", generation: 3, creationTimestamp: "2024-01-01T00:00:00Z", deletionTimestamp: "2024-02-01T00:00:00Z", finalizers: [f]}
spec: {hostnames: [a]}
`
)

// moved returns a target that was made from an object, and has become another since.
func moved(t *testing.T, from, to string) *object {
	t.Helper()
	made, is := parse(t, from, ""), parse(t, to, "")
	is.record = &record{UID: made.GetUID(), Source: made.parts(), Target: made.trace(true)}
	return is
}

func TestBefore(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		source   string
		target   *object
		mirrored bool
		written  bool
		agreed   bool
		served   string // revision
		want     action
		// follows is what comes of a conflict if the source is right.
		follows action
	}{
		"new":                                    {source: route, want: create},
		"the same":                               {source: route, target: moved(t, route, route)},
		"not made by a move":                     {source: route, target: parse(t, route, ""), want: update},
		"source changed":                         {source: routeSpec, target: moved(t, route, route), want: update},
		"source's status":                        {source: routeStatus, target: moved(t, route, route), want: update},
		"target changed":                         {source: route, target: moved(t, route, routeLabels), want: conflict, follows: update},
		"target changed, and handed back since":  {source: route, target: moved(t, route, routeLabels), agreed: true, want: update},
		"both changed":                           {source: routeSpec, target: moved(t, route, specOf(t, "c")), want: conflict, follows: update},
		"both changed, to the same":              {source: routeSpec, target: moved(t, route, routeSpec), want: update},
		"source's status, target's labels":       {source: routeStatus, target: moved(t, route, routeLabels), want: conflict, follows: update},
		"target has a field more":                {source: withoutSpec(t), target: moved(t, route, routeSpec), want: conflict, follows: update},
		"target changed, but kept":               {source: route, target: kept(t, route, routeSpec)},
		"source changed, target once kept":       {source: specOf(t, "c"), target: kept(t, route, routeSpec), want: conflict, follows: update},
		"made anew, target changed":              {source: routeAnew, target: moved(t, route, routeLabels), want: conflict, follows: replace},
		"made on both sides":                     {source: route, target: parse(t, routeAnew, ""), want: conflict, follows: replace},
		"made on both sides, and handed back":    {source: route, target: parse(t, routeAnew, ""), agreed: true, want: replace},
		"deleted, target changed":                {target: moved(t, route, routeLabels), mirrored: true, want: conflict, follows: remove},
		"target deleted":                         {source: route, served: "15", want: conflict, follows: create},
		"target deleted, source changed":         {source: routeSpec, served: "15", want: conflict, follows: create},
		"new since the takeover":                 {source: routeAnew, served: "15", want: create},
		"target isn't as it was":                 {source: route, target: moved(t, route, routeStatus), want: update},
		"made anew":                              {source: routeAnew, target: moved(t, route, route), want: replace},
		"was being deleted":                      {source: route, target: moved(t, routeDeleting, routeDeleting), want: replace},
		"of a later generation":                  {source: route, target: moved(t, route, routeSpec), want: conflict, follows: replace},
		"of a later generation, and handed back": {source: route, target: moved(t, route, routeSpec), agreed: true, want: replace},
		"is being deleted":                       {source: routeDeleting, target: moved(t, route, route), want: update},
		"deleted":                                {target: moved(t, route, route), mirrored: true, want: remove},
		"somebody else's":                        {target: parse(t, route, ""), want: extra},
		"stored otherwise":                       {source: route, target: otherwise(t), want: update},
		"stored otherwise again":                 {source: route, target: otherwise(t), written: true, want: unfaithful},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := situation{source: parse(t, tt.source, ""), target: tt.target, keepsIdentity: true, mirrored: tt.mirrored, written: tt.written, agreed: tt.agreed}
			if tt.served != "" {
				s.served = horizon{tt.served, time.Date(2024, 1, 15, 0, 0, 0, 0, time.UTC)}
			}
			if s.source != nil {
				s.want = s.source.content
			}
			got := before(s)
			if got.action != tt.want {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
			if tt.want != conflict {
				return
			}
			if right := settle(s, got, true); right.action != tt.follows {
				t.Errorf("if the source is right: got %+v, want %q", right, tt.follows)
			}
		})
	}
}

// kept returns a target that was changed after it was made, and then said to be right.
func kept(t *testing.T, from, to string) *object {
	t.Helper()
	o := moved(t, from, to)
	o.record.Target, o.record.Kept = o.trace(true), true
	return o
}

// withoutSpec is routeSpec with nothing in its spec.
func withoutSpec(t *testing.T) string {
	t.Helper()
	return strings.Replace(routeSpec, "spec: {hostnames: [b]}", "spec: {}", 1)
}

// otherwise returns a target with another spec than was written there, though nobody has changed it.
func otherwise(t *testing.T) *object {
	t.Helper()
	o := moved(t, route, route)
	o.Body = map[string]any{"spec": map[string]any{}}
	return o
}

func TestAfter(t *testing.T) {
	t.Parallel()
	at := func(revision, day string) horizon {
		when, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		return horizon{revision, when}
	}
	now := at("15", "2024-01-15")
	for name, tt := range map[string]struct {
		source  string
		target  *object
		horizon horizon
		want    verdict
	}{
		"nothing happened":                     {source: route, target: moved(t, route, route)},
		"only the target changed":              {source: route, target: moved(t, route, routeSpec)},
		"only the source changed":              {source: routeSpec, target: moved(t, route, route), want: verdict{action: update}},
		"source's spec, target's labels":       {source: routeSpec, target: moved(t, route, routeLabels), want: verdict{action: update, keep: changes{metadata: true, managers: true}}},
		"source's labels, target's status":     {source: routeLabels, target: moved(t, route, routeStatus), want: verdict{action: update, keep: changes{status: true, managers: true}}},
		"source's status, target's labels":     {source: routeStatus, target: moved(t, route, routeLabels), want: verdict{action: update, keep: changes{metadata: true, managers: true}}},
		"both the spec":                        {source: routeSpec, target: moved(t, route, specOf(t, "c")), want: verdict{action: conflict}},
		"both the spec, to the same":           {source: routeSpec, target: moved(t, route, routeSpec), want: verdict{action: acknowledge}},
		"deleted before":                       {target: moved(t, route, route), want: verdict{action: remove}},
		"deleted before, changed after":        {target: moved(t, route, routeLabels), want: verdict{action: conflict}},
		"made after":                           {target: parse(t, route, "")},
		"made before":                          {source: routeAnew, want: verdict{action: create}},
		"deleted after":                        {source: route},
		"made just before, deleted after":      {source: specAt(t, "12", "2024-01-20T00:00:00Z")},
		"changed before, deleted after":        {source: routeSpec, want: verdict{action: conflict}},
		"deleted and made anew after":          {source: route, target: parse(t, routeAnew, "")},
		"made on both sides":                   {source: routeSpec, target: parse(t, routeAnew, ""), want: verdict{action: conflict}},
		"made anew before":                     {source: routeAnew, target: moved(t, route, route), want: verdict{action: replace}},
		"made anew before, changed after":      {source: routeAnew, target: moved(t, route, routeLabels), want: verdict{action: conflict}},
		"nobody knows since when":              {source: route, horizon: horizon{}, want: verdict{action: create}},
		"nobody knows, and both sides have it": {source: routeSpec, target: parse(t, routeAnew, ""), horizon: horizon{}, want: verdict{action: conflict}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := situation{source: parse(t, tt.source, ""), target: tt.target, keepsIdentity: true}
			if s.source != nil {
				s.want = s.source.content
			}
			h := now
			if name[:6] == "nobody" {
				h = tt.horizon
			}
			got := after(s, h)
			if got.action != tt.want.action || got.keep != tt.want.keep {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// specOf is routeSpec with another host name.
func specOf(t *testing.T, hostname string) string {
	t.Helper()
	o := parse(t, routeSpec, "")
	if err := unstructured.SetNestedStringSlice(o.Object, []string{hostname}, "spec", "hostnames"); err != nil {
		t.Fatal(err)
	}
	data, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// specAt is route with another resource version and age.
func specAt(t *testing.T, version, created string) string {
	t.Helper()
	return strings.NewReplacer(`"10"`, strconv.Quote(version), `creationTimestamp: "2024-01-01T00:00:00Z"`, "creationTimestamp: "+strconv.Quote(created)).Replace(route)
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	s := situation{source: parse(t, route, ""), target: moved(t, route, route)}
	s.want = s.source.content
	s.target.Managers = append(s.target.Managers, map[string]any{"manager": fieldManager, "time": "2024-02-01T00:00:00Z"})
	if got := after(s, horizon{}); got.action != finish {
		t.Errorf("after the switch: got %+v, want it to be finished", got)
	}
	if got := before(s); got.action != update {
		t.Errorf("before the switch: got %+v, want it to be written again", got)
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	source, target := parse(t, routeSpec, ""), moved(t, route, routeLabels)
	for name, tt := range map[string]struct {
		s          situation
		sourceWins bool
		want       action
	}{
		"source":               {situation{source: source, target: target}, true, update},
		"target":               {situation{source: source, target: target}, false, acknowledge},
		"source, deleted":      {situation{target: target}, true, remove},
		"target, not deleted":  {situation{target: target}, false, nothing},
		"source, not deleted":  {situation{source: source}, true, create},
		"target, deleted":      {situation{source: source}, false, nothing},
		"source, another uid":  {situation{source: parse(t, routeAnew, ""), target: target, keepsIdentity: true}, true, replace},
		"source, uid can't be": {situation{source: parse(t, routeAnew, ""), target: target}, true, update},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := settle(tt.s, verdict{action: conflict}, tt.sourceWins); got.action != tt.want {
				t.Errorf("got %q, want %q", got.action, tt.want)
			}
		})
	}
	if got := settle(situation{}, verdict{action: update}, true); cmp.Diff(got, verdict{action: update}, cmp.AllowUnexported(verdict{}, changes{})) != "" {
		t.Errorf("what is no conflict became %+v", got)
	}
}
