package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
)

// writesCheck is the name of the part of readyz that says whether etcd takes writes. It is apart from "etcd", which is about
// reads: an etcd out of space still has all objects, so a replica without this is to be asked all the same, and the readiness
// probe in a cluster leaves it out.
const writesCheck = "etcd-writes"

// reportEtcd has requests that fail because of etcd say what is wrong and what helps, in a Status of its own, and a metric and
// readyz say the same. All that is written is below the prefix. When stopping ends, nothing waits for etcd any more. It comes before
// config is completed.
func reportEtcd(stopping context.Context, config *genericapiserver.Config, client *clientv3.Client, prefix string) {
	registerEtcdMetrics()
	config.RESTOptionsGetter = explaining{config.RESTOptionsGetter, explainer{client, stopping}}
	writable := etcd.NewWritable(client, prefix)
	config.AddReadyzChecks(healthz.NamedCheck(writesCheck, func(r *http.Request) error {
		return writable.Check(r.Context())
	}))
}

var etcdFailures = metrics.NewCounterVec(&metrics.CounterOpts{
	Namespace: "gateway_apiserver", Subsystem: "etcd", Name: "failed_operations_total",
	Help: "What etcd did not do with stored objects, for requests and for the server itself, by reason: no_space (it takes no writes), " +
		"corrupt, no_leader, unreachable, slow or denied; and by operation: read or write.",
	StabilityLevel: metrics.ALPHA,
}, []string{"operation", "reason"})

var registerEtcdMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(etcdFailures)
	for _, trouble := range etcd.Troubles {
		for _, operation := range []string{reading, writing} {
			etcdFailures.WithLabelValues(operation, string(trouble)) // so that there is a rate from the first one on
		}
	}
})

// What a storage was doing.
const (
	reading = "read"
	writing = "write"
)

// explainer explains what is wrong with the etcd of a client, or that the server stops.
type explainer struct {
	client   *clientv3.Client
	stopping context.Context
}

// untilStop returns a context that also ends when the server has waited long enough.
func (e explainer) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	unbind := context.AfterFunc(e.stopping, cancel)
	return ctx, func() {
		unbind()
		cancel()
	}
}

// bounded returns a context that ends after etcdTimeout, too.
func (e explainer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, unbind := e.untilStop(ctx)
	ctx, cancel := context.WithTimeout(ctx, etcdTimeout)
	return ctx, func() {
		cancel()
		unbind()
	}
}

// explain turns an error that is about the state of etcd into what a client of the API is told.
func (e explainer) explain(operation string, err error) error {
	if e.stopping.Err() != nil && errors.Is(err, context.Canceled) {
		return apierrors.NewServiceUnavailable("this server stops, and waits for etcd no longer. Try again")
	}
	trouble := etcd.TroubleOf(err)
	if err == nil || trouble == "" {
		return err
	}
	if trouble == etcd.Slow && !etcd.Connected(e.client) {
		trouble = etcd.Unreachable
	}
	etcdFailures.WithLabelValues(operation, string(trouble)).Inc()
	explained := &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable,
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: metav1.CauseType("Etcd"), Message: err.Error()}}},
	}}
	s := &explained.ErrStatus
	unknown := ""
	if operation == writing {
		unknown = "; whether this was stored is not known"
	}
	switch trouble {
	case etcd.NoSpace:
		s.Code, s.Reason = http.StatusInsufficientStorage, "InsufficientStorage"
		s.Message = "etcd is out of space and stores nothing (alarm NOSPACE), and this was not stored. Reads, deletions and Envoys are not " +
			"affected. Delete objects that nobody needs, or give etcd a larger quota; an embedded etcd then recovers by itself, and any " +
			`other one needs "etcdctl defrag" and "etcdctl alarm disarm"`
	case etcd.Corrupt:
		s.Message = "the members of etcd don't have the same data, and it answers nobody (alarm CORRUPT): restore it from a backup"
	case etcd.NoLeader:
		s.Message = "etcd has no leader, as when a majority of its members is missing" + unknown + ". Try again when it has one"
	case etcd.Denied:
		s.Message = "etcd doesn't allow this server what it has to do: let the user of its certificate read and write"
	case etcd.Slow:
		s.Code, s.Reason = http.StatusGatewayTimeout, metav1.StatusReasonTimeout
		s.Message = "etcd has not answered in time" + unknown + ". It is overloaded, or its disk is slow, or out of reach"
	default:
		s.Message = "etcd can't be reached" + unknown + ". Envoys keep what they have, and new ones get it, too. Try again when etcd runs"
	}
	s.Message = fmt.Sprintf("%s (%v)", s.Message, err)
	return explained
}

// explaining has all storages explain their errors.
type explaining struct {
	generic.RESTOptionsGetter
	explainer
}

func (e explaining) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := e.RESTOptionsGetter.GetRESTOptions(resource, example)
	decorate := options.Decorator
	options.Decorator = func(config *storagebackend.ConfigForResource, prefix string, keyFunc func(runtime.Object) (string, error), newFunc,
		newListFunc func() runtime.Object, attrs storage.AttrFunc, trigger storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		decorated, destroy, err := decorate(config, prefix, keyFunc, newFunc, newListFunc, attrs, trigger, indexers)
		return explainedStorage{decorated, e.explainer}, destroy, err
	}
	return options, err
}

// etcdTimeout is when an object is no longer waited for. It is shorter than the timeout of requests, a minute, after which
// nobody could say any more what they have waited for.
const etcdTimeout = 20 * time.Second

// explainedStorage is a storage, perhaps with a cache before it, whose errors say what helps.
type explainedStorage struct {
	storage.Interface
	explainer
}

func (s explainedStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.explain(writing, s.Interface.Create(ctx, key, obj, out, ttl))
}

func (s explainedStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.explain(writing, s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts))
}

func (s explainedStorage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.explain(writing, s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, tryUpdate, cached))
}

func (s explainedStorage) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.explain(reading, s.Interface.Get(ctx, key, opts, out))
}

func (s explainedStorage) GetList(ctx context.Context, key string, opts storage.ListOptions, out runtime.Object) error {
	ctx, cancel := s.untilStop(ctx)
	defer cancel()
	return s.explain(reading, s.Interface.GetList(ctx, key, opts, out))
}

func (s explainedStorage) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	version, err := s.Interface.GetCurrentResourceVersion(ctx)
	return version, s.explain(reading, err)
}

func (s explainedStorage) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	ctx, cancel := context.WithCancel(ctx) // which lasts as long as the watch
	defer context.AfterFunc(s.stopping, cancel)()
	w, err := s.Interface.Watch(ctx, key, opts)
	return w, s.explain(reading, err)
}
