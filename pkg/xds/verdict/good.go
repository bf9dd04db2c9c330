package verdict

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/uuid"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

const (
	// chunkSize is less than what etcd takes in one request, 1.5 MiB.
	chunkSize = 1 << 20
	// maxChunks bounds a good version, compressed, and maxContent what it is decompressed to.
	maxChunks  = 16
	maxContent = 256 << 20
)

// newSealer returns what seals and opens with a key; nil without one.
func newSealer(key []byte) (cipher.AEAD, error) {
	if key == nil {
		return nil, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("the key that seals Secrets: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

var (
	errNoKey    = errors.New("it is sealed, and there is no key to open it")
	errSeal     = errors.New("it is sealed and shouldn't be, or isn't and should")
	errParts    = errors.New("its parts aren't as long as they should be")
	errTooLarge = fmt.Errorf("more than %d MiB, compressed", maxChunks*chunkSize>>20)
)

// secret says that resources of a type are stored sealed, or not at all.
func secret(typeURL string) bool { return typeURL == resource.SecretType }

// replacement is what is served instead of what was rejected, and the clusters and endpoints that it uses.
type replacement struct {
	good  *cache.Resource
	needs []*cache.Resource
}

// pack compresses a replacement, seals it if it has to be, and cuts it. What is sealed belongs to one record: it opens for no other.
func (s *Store) pack(r replacement, id string) ([][]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(r.encode()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	packed := b.Bytes()
	if secret(r.good.TypeURL()) {
		if s.sealer == nil {
			return nil, errNoKey
		}
		packed = s.sealer.Seal(nil, nil, packed, []byte(id))
	}
	if len(packed) > maxChunks*chunkSize {
		return nil, errTooLarge
	}
	var chunks [][]byte
	for len(packed) > chunkSize {
		chunks, packed = append(chunks, packed[:chunkSize]), packed[chunkSize:]
	}
	return append(chunks, packed), nil
}

// unpack is the reverse of pack.
func (s *Store) unpack(r *stored, packed []byte) (replacement, error) {
	if secret(r.Type) != r.Good.Sealed {
		return replacement{}, errSeal
	}
	if r.Good.Sealed {
		if s.sealer == nil {
			return replacement{}, errNoKey
		}
		opened, err := s.sealer.Open(nil, nil, packed, []byte(r.id()))
		if err != nil {
			return replacement{}, err
		}
		packed = opened
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return replacement{}, err
	}
	value, err := io.ReadAll(io.LimitReader(reader, maxContent+1))
	if err != nil {
		return replacement{}, err
	}
	if len(value) > maxContent {
		return replacement{}, errTooLarge
	}
	return decodeReplacement(r.key(), value)
}

// encode encodes the good resource and those that it needs, each with its type and name, and with its length.
func (r replacement) encode() []byte {
	var out []byte
	field := func(b []byte) {
		out = append(binary.AppendUvarint(out, uint64(len(b))), b...)
	}
	field(encodeResource(r.good))
	for _, need := range r.needs {
		field([]byte(need.TypeURL()))
		field([]byte(need.Name()))
		field(encodeResource(need))
	}
	return out
}

// decodeReplacement is the reverse of encode, for a good resource of a name.
func decodeReplacement(name cache.Name, data []byte) (r replacement, err error) {
	var failed bool
	field := func() []byte {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > uint64(len(data)-size) {
			failed, data = true, nil
			return nil
		}
		b := data[size : size+int(n) : size+int(n)]
		data = data[size+int(n):]
		return b
	}
	if r.good, err = decodeResource(name, field()); err != nil {
		return replacement{}, err
	}
	for len(data) > 0 {
		name, content := cache.Name{TypeURL: string(field()), Name: string(field())}, field()
		if failed || name.TypeURL != resource.ClusterType && name.TypeURL != resource.EndpointType {
			return replacement{}, errParts
		}
		need, err := decodeResource(name, content)
		if err != nil {
			return replacement{}, err
		}
		r.needs = append(r.needs, need)
	}
	if failed {
		return replacement{}, errParts
	}
	return r, nil
}

// encodeResource encodes a resource with how it is divided into parts, without which its version would be another one: how many there
// are, how long each is, and then their bytes.
func encodeResource(r *cache.Resource) []byte {
	parts := r.Parts()
	out := binary.AppendUvarint(nil, uint64(len(parts)))
	for _, p := range parts {
		out = binary.AppendUvarint(out, uint64(len(p.Bytes())))
	}
	return append(out, r.Any().GetValue()...)
}

// decodeResource is the reverse of encodeResource.
func decodeResource(name cache.Name, data []byte) (*cache.Resource, error) {
	var failed bool
	next := func() uint64 {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > uint64(len(data)) {
			failed = true
			return 0
		}
		data = data[size:]
		return n
	}
	sizes := make([]uint64, next())
	for i := range sizes {
		sizes[i] = next()
	}
	if len(sizes) == 0 && !failed {
		return cache.NewResource(name.TypeURL, name.Name, data), nil
	}
	parts := make([]cache.Part, len(sizes))
	for i, size := range sizes {
		if size > uint64(len(data)) {
			return nil, errParts
		}
		parts[i], data = cache.NewPart(data[:size:size]), data[size:]
	}
	if failed || len(data) > 0 {
		return nil, errParts
	}
	return cache.NewSpliced(name.TypeURL, name.Name, parts), nil
}

// writeGood stores a replacement in chunks, which are nothing to anybody until a record says that they belong to it. An error that is
// not unreachable is about the resource. Some chunks may be stored all the same, if it returns what they are called.
func (s *Store) writeGood(ctx context.Context, r replacement, id string) (*storedGood, error) {
	chunks, err := s.pack(r, id)
	if err != nil {
		return nil, err
	}
	good := &storedGood{Version: r.good.Version(), Chunks: uuid.NewString(), Count: len(chunks), Sealed: secret(r.good.TypeURL())}
	for i, chunk := range chunks {
		good.Size += len(chunk)
		if err := s.putChunk(ctx, s.chunkKey(id, good, i), chunk); err != nil {
			return good, err
		}
	}
	return good, nil
}

func (s *Store) putChunk(ctx context.Context, key string, chunk []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.Put(ctx, key, string(chunk))
	var byEtcd rpctypes.EtcdError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return err
	case status.Code(err) == codes.ResourceExhausted && !errors.As(err, &byEtcd): // it is too large even to be received
		return err
	}
	return unreachable{err}
}

// readGood returns the good version of a record, and what it needs. An error that is not unreachable is about what is stored.
func (s *Store) readGood(ctx context.Context, r *stored) (replacement, error) {
	var packed []byte
	for i := range r.Good.Count {
		response, err := s.client.Get(ctx, s.chunkKey(r.id(), r.Good, i))
		if err != nil {
			return replacement{}, unreachable{err}
		}
		if len(response.Kvs) == 0 {
			return replacement{}, errors.New("a part of it is missing")
		}
		packed = append(packed, response.Kvs[0].Value...)
	}
	return s.unpack(r, packed)
}

// unreachable is an error of etcd, which may be none a moment later.
type unreachable struct{ error }

func (e unreachable) Unwrap() error { return e.error }

// chunkKey is the key of a chunk: below the id of the record and what it calls its good version.
func (s *Store) chunkKey(id string, g *storedGood, i int) string {
	return s.chunks + id + "/" + g.Chunks + "/" + strconv.Itoa(i)
}

// dropGoods returns what deletes one good version of a record, or all that have been stored for it.
func (s *Store) dropGoods(id string, only ...string) clientv3.Op {
	return clientv3.OpDelete(s.chunks+strings.Join(append([]string{id}, only...), "/")+"/", clientv3.WithPrefix())
}
