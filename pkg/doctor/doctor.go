package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

// Level says how bad a finding is.
type Level string

const (
	OK Level = "ok"
	// Warning is something that works now, and may not for long.
	Warning Level = "warning"
	Failed  Level = "failed"
	// NotChecked is what could not be looked at.
	NotChecked Level = "not checked"
)

// The checks, in the order of their findings.
const (
	apiServicesCheck  = "apiservices"
	definitionsCheck  = "crds"
	replicasCheck     = "replicas"
	certificatesCheck = "certificates"
	etcdCheck         = "etcd"
	clockCheck        = "clock"
)

// Finding is what a check has found.
type Finding struct {
	Check   string `json:"check"`
	Level   Level  `json:"level"`
	Message string `json:"message"`
	// Fix is what to do, unless all is well.
	Fix string `json:"fix,omitempty"`
}

// Options say what to examine.
type Options struct {
	// Namespace is that of the server.
	Namespace string
	// Servers are the replicas, as URLs. If there are none, they are the pods, reached through kube-apiserver.
	Servers []string
}

// timeout bounds what is asked of one server.
const timeout = 10 * time.Second

// doctor examines one installation.
type doctor struct {
	Options
	config       *rest.Config
	dynamic      dynamic.Interface
	client       kubernetes.Interface
	registration install.Registration
	findings     []Finding

	// caBundle is what the APIServices trust.
	caBundle []byte
	replicas []*replica
}

// Examine returns what it finds, in the order of the checks. The error is that kube-apiserver cannot be asked at all, or
// that nothing is installed.
func Examine(ctx context.Context, config *rest.Config, o Options) ([]Finding, error) {
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = rest.NoWarnings{} // about versions that are looked at because they are there
	d := &doctor{Options: o, config: config}
	var err error
	if d.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if d.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if d.registration, err = install.FindRegistration(ctx, d.dynamic, o.Namespace); err != nil {
		return nil, err
	}
	d.checkAPIServices(ctx)
	d.checkDefinitions(ctx)
	stop := d.reach(ctx)
	defer stop()
	d.checkReplicas(ctx)
	d.checkCertificates(ctx)
	d.checkEtcd()
	d.checkClocks(ctx)
	return d.findings, nil
}

func (d *doctor) find(check string, level Level, fix, format string, args ...any) {
	d.findings = append(d.findings, Finding{Check: check, Level: level, Message: fmt.Sprintf(format, args...), Fix: fix})
}

// fine reports that all is well, unless the check has found something else.
func (d *doctor) fine(check, format string, args ...any) {
	if !slices.ContainsFunc(d.findings, func(f Finding) bool { return f.Check == check }) {
		d.find(check, OK, "", format, args...)
	}
}
