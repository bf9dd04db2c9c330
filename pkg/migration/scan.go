package migration

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

const (
	// pageSize is how many objects are read at once.
	pageSize = 100
	// idleShare is for how long nothing is read after a page, in multiples of the time that the page took. All replicas scan when
	// they start, and have more urgent things to do.
	idleShare = 9
)

// findings are the objects of a kind that are stored in another form than that of this release, by their keys in the store.
type findings struct {
	store *registry.Store
	// old can be rewritten; unknown have fields that this release does not know.
	old, unknown []string
	// unreadable says what is wrong with what cannot be decoded.
	unreadable map[string]error
}

func (f *findings) len() int { return len(f.old) + len(f.unknown) + len(f.unreadable) }

// scan reads what etcd has of a kind below prefix. Objects that are written meanwhile may be seen as they were before or
// after.
func scan(ctx context.Context, etcd clientv3.KV, prefix string, store *registry.Store) (*findings, error) {
	found := &findings{store: store, unreadable: map[string]error{}}
	next := prefix + store.Root()
	end := clientv3.GetPrefixRangeEnd(next)
	for {
		began := time.Now()
		page, err := etcd.Get(ctx, next, clientv3.WithRange(end), clientv3.WithLimit(pageSize))
		if err != nil {
			return nil, fmt.Errorf("reading %s from etcd: %w", store.DefaultQualifiedResource, err)
		}
		for _, kv := range page.Kvs {
			found.add(ctx, strings.TrimPrefix(string(kv.Key), prefix), string(kv.Key), kv.Value)
		}
		if !page.More || len(page.Kvs) == 0 {
			return found, nil
		}
		next = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		select {
		case <-time.After(idleShare * time.Since(began)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// add takes note of an object unless it is stored as this server would store it. path is its key in etcd.
func (f *findings) add(ctx context.Context, key, path string, encrypted []byte) {
	stored, stale, err := f.store.Decrypt(ctx, path, encrypted)
	if err != nil {
		f.unreadable[key] = err
		return
	}
	obj := f.store.NewFunc()
	if _, _, err := f.store.Storage.Codec.Decode(stored, nil, obj); err != nil {
		f.unreadable[key] = err
		return
	}
	complete(obj)
	due, err := encode(f.store, obj)
	switch {
	case err != nil:
		f.unreadable[key] = err
	case bytes.Equal(due, stored) && !stale:
	case hasUnknownFields(stored):
		f.unknown = append(f.unknown, key)
	default:
		f.old = append(f.old, key)
	}
}

// complete fills in the defaults of the stored version: decoding an older one has filled in only those of that.
func complete(obj runtime.Object) { apis.Scheme.Default(obj) }

// encode returns the bytes that a store would write for obj.
func encode(store *registry.Store, obj runtime.Object) ([]byte, error) {
	if err := store.Storage.Versioner().PrepareObjectForStorage(obj); err != nil {
		return nil, err
	}
	return runtime.Encode(store.Storage.Codec, obj)
}

// strict decodes objects in the version in which they are stored, and complains about fields that it does not know.
var strict = func() runtime.Decoder {
	info, _ := runtime.SerializerInfoForMediaType(apis.Codecs.SupportedMediaTypes(), runtime.ContentTypeJSON)
	return info.StrictSerializer
}()

func hasUnknownFields(stored []byte) bool {
	_, _, err := strict.Decode(stored, nil, nil)
	return runtime.IsStrictDecodingError(err)
}
