package retired

import (
	"fmt"
	"reflect"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	frontendValidation     = "frontendValidation"
	frontendValidationName = "spec.listeners[].tls." + frontendValidation
	gatewayFrontend        = "spec.tls.frontend of the Gateway"
)

// validation is what the listeners of one port say about the certificates of clients.
type validation struct {
	port     int64
	listener int // the first one that says it
	refs     []any
}

// moveFrontendValidation moves what listeners say about the certificates of clients to the port's entry in
// spec.tls.frontend.perPort (GEP-91, GEP-3567). A browser that has a connection for one listener's hostname uses it for
// the hostnames of other listeners of that port as well, so the successor holds for all HTTPS listeners of a port, and
// they must have said the same.
func moveFrontendValidation(r *rewriting, f *Field) {
	listeners, _ := lookup(r.doc, "spec", "listeners")
	validations := r.readValidations(f, listeners)
	for i, l := range objectsIn(listeners) {
		for _, v := range validations {
			if l["protocol"] == string(gatewayv1.HTTPSProtocolType) && l["port"] == v.port {
				r.checkAgreement(i, l, v)
			}
		}
	}
	if len(r.errs) > 0 || len(validations) == 0 {
		return
	}
	if r.form == MergePatch {
		// The list of ports is replaced as a whole, and the patch doesn't know the other ones.
		ports, _ := lookup(r.doc, "spec", "tls", "frontend", "perPort")
		for _, v := range validations {
			r.checkPort(ports, v)
		}
		r.Left = true
		return
	}
	for _, l := range objectsIn(listeners) {
		if tls, ok := l["tls"].(map[string]any); ok {
			delete(tls, frontendValidation)
		}
	}
	r.Changed = true
	for _, v := range validations {
		r.setPort(v)
	}
}

// readValidations reads the field of all listeners: what the first one of each port says.
func (r *rewriting) readValidations(f *Field, listeners any) []validation {
	var validations []validation
	for i, l := range objectsIn(listeners) {
		tls, _ := l["tls"].(map[string]any)
		value, found := tls[frontendValidation]
		if !found {
			continue
		}
		if value == nil {
			delete(tls, frontendValidation)
			r.Changed = true
			continue
		}
		path := fmt.Sprintf("spec.listeners[%d].tls.%s", i, frontendValidation)
		port, hasPort := l["port"].(int64)
		successor := f.Successor
		if hasPort {
			successor = fmt.Sprintf("spec.tls.frontend.perPort[port=%d].tls.validation", port)
		}
		r.use(f, path, successor)
		said, _ := value.(map[string]any)
		r.unknown(path, said, "caCertificateRefs")
		refs, _ := said["caCertificateRefs"].([]any)
		switch {
		case len(refs) == 0:
			r.refuse(path, "caCertificateRefs must name what the certificates of clients are validated with")
		case !hasPort:
			r.refuse(path, "the listener must have its port here: the successor is the port's entry in spec.tls.frontend.perPort")
		case l["protocol"] != string(gatewayv1.HTTPSProtocolType):
			r.refuse(path, "the certificates of clients are only validated by listeners with protocol HTTPS")
		case !slices.ContainsFunc(validations, func(v validation) bool { return v.port == port }):
			validations = append(validations, validation{port, i, refs})
		}
	}
	return validations
}

// checkAgreement compares what listener i says with what another listener of its port does.
func (r *rewriting) checkAgreement(i int, l map[string]any, v validation) {
	const why = "a client's connection to one listener can be used for others of its port, so all HTTPS listeners of a port validate alike (GEP-3567): give them the same caCertificateRefs, or another port"
	if i == v.listener {
		return
	}
	tls, _ := l["tls"].(map[string]any)
	said, _ := tls[frontendValidation].(map[string]any)
	path := fmt.Sprintf("spec.listeners[%d].tls.%s", i, frontendValidation)
	if said == nil {
		r.refuse(path, "must be set, because spec.listeners[%d] has it on port %d: %s", v.listener, v.port, why)
	} else if refs, _ := said["caCertificateRefs"].([]any); len(refs) > 0 && !reflect.DeepEqual(refs, v.refs) {
		r.refuse(path, "must be as in spec.listeners[%d], which is on port %d too: %s", v.listener, v.port, why)
	}
}

// setPort writes the successor.
func (r *rewriting) setPort(v validation) {
	frontend := objectAt(r.doc, "spec", "tls", "frontend")
	if frontend == nil {
		return
	}
	if frontend["default"] == nil {
		frontend["default"] = map[string]any{} // required; says nothing of other ports
	}
	ports, ok := frontend["perPort"].([]any)
	if !ok && frontend["perPort"] != nil {
		return // no list: the decoder will complain about it
	}
	entry := r.checkPort(ports, v)
	if entry == nil {
		entry = map[string]any{"port": v.port}
		frontend["perPort"] = append(ports, entry)
	}
	entry["tls"] = v.successor()
}

// checkPort returns the entry of the port, which must say the same: unless it is of an older object, which a patch has
// overridden.
func (r *rewriting) checkPort(ports any, v validation) (entry map[string]any) {
	for i, entry := range objectsIn(ports) {
		if entry["port"] != v.port {
			continue
		}
		if r.form != Patched && !v.saidBy(entry) {
			r.refuse(fmt.Sprintf("spec.listeners[%d].tls.%s", v.listener, frontendValidation),
				"is not what spec.tls.frontend.perPort[%d] says, which replaces it: set only that one", i)
		}
		return entry
	}
	return nil
}

// successor is the tls of the port's entry.
func (v validation) successor() map[string]any {
	return map[string]any{"validation": map[string]any{"caCertificateRefs": v.refs, "mode": string(gatewayv1.AllowValidOnly)}}
}

// saidBy says whether the port's entry is the successor already.
func (v validation) saidBy(entry map[string]any) bool {
	said, _ := lookup(entry, "tls", "validation")
	of, _ := said.(map[string]any)
	mode, hasMode := of["mode"]
	return reflect.DeepEqual(of["caCertificateRefs"], any(v.refs)) && (!hasMode || mode == string(gatewayv1.AllowValidOnly))
}

// refuseFrontendValidation: the successor is a field of Gateways, and no ListenerSet has a say in it.
func refuseFrontendValidation(r *rewriting, f *Field) {
	listeners, _ := lookup(r.doc, "spec", "listeners")
	for i, l := range objectsIn(listeners) {
		tls, _ := l["tls"].(map[string]any)
		value, found := tls[frontendValidation]
		if !found {
			continue
		}
		delete(tls, frontendValidation)
		r.Changed = true
		if value == nil {
			continue
		}
		path := fmt.Sprintf("spec.listeners[%d].tls.%s", i, frontendValidation)
		r.use(f, path, f.Successor)
		r.refuse(path, "%s, and a set of listeners can't ask for the certificates of clients any more: set %s that it is attached to", f.history, f.Successor)
	}
}
