package verdict

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// A Record says that clients have rejected a version of a resource.
type Record struct {
	// Scope and Name are where the resource is, and Version the one that was rejected.
	Scope   string
	Name    cache.Name
	Version string
	// Message is what a client said when it rejected it, cut to 4 KiB: the first whose rejection is stored.
	Message string
	// Nodes is how many clients did, by their node ids and over all replicas, up to 256. More says that there are more of them.
	Nodes int
	More  bool
	// First and Last are when the first of them did, and the last.
	First, Last time.Time
	// Good is what clients are served instead: the last version before it that some of them took; nil if there is none, or if it is
	// a Secret that this replica has no key for.
	Good *cache.Resource
}

const (
	maxMessage = 4 << 10
	maxNodes   = 256
)

// stored is a record in etcd.
type stored struct {
	Scope   string      `json:"scope"`
	Type    string      `json:"type"`
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Message string      `json:"message,omitempty"`
	Nodes   nodeSet     `json:"nodes"`
	More    bool        `json:"more,omitempty"`
	First   time.Time   `json:"first"`
	Last    time.Time   `json:"last"`
	Good    *storedGood `json:"good,omitempty"`
	// Doubted says that the elected replica doesn't publish the version. A replica that does takes that back.
	Doubted bool `json:"doubted,omitempty"`
}

// storedGood says where the good version is.
type storedGood struct {
	Version string `json:"version"`
	// Chunks is what the keys of its chunks have before their numbers; see Store.chunkKey. There are Count.
	Chunks string `json:"chunks"`
	Count  int    `json:"count"`
	// Size is the sum of the sizes of the chunks, and Sealed says that they are encrypted.
	Size   int  `json:"size"`
	Sealed bool `json:"sealed,omitempty"`
}

func (r *stored) key() cache.Name { return cache.Name{TypeURL: r.Type, Name: r.Name} }

func (r *stored) id() string { return recordID(r.Scope, r.key(), r.Version) }

// recordID is the last part of a record's key: each version has a record of its own.
func recordID(scope string, name cache.Name, version string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{scope, name.TypeURL, name.Name, version}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// decode reads a record, whose key ends with id.
func decode(id string, value []byte) (*stored, error) {
	r := &stored{}
	if err := json.Unmarshal(value, r); err != nil {
		return nil, err
	}
	if r.id() != id {
		return nil, errors.New("it is another one than its key says")
	}
	if !slices.Contains(cache.TypeURLs(), r.Type) { // another release may know it
		return nil, fmt.Errorf("resources of type %q are not served", r.Type)
	}
	if g := r.Good; g != nil && (g.Chunks == "" || strings.Contains(g.Chunks, "/") || g.Count < 1 || g.Count > maxChunks) {
		return nil, fmt.Errorf("%d chunks below %q make no resource", g.Count, g.Chunks)
	}
	return r, nil
}

func (r *stored) encode() []byte {
	value, err := json.Marshal(r)
	if err != nil {
		panic(err) // there is nothing in it that can't be
	}
	return value
}

// record is what others are told.
func (r *stored) record(good *cache.Resource) Record {
	return Record{
		Scope: r.Scope, Name: r.key(), Version: r.Version,
		Message: r.Message, Nodes: len(r.Nodes), More: r.More, First: r.First, Last: r.Last, Good: good,
	}
}

// nodeSet is a set of node ids, by their hashes, sorted.
type nodeSet []uint64

// with returns the union of two sets, as far as there is room, and whether there was.
func (s nodeSet) with(more nodeSet) (union nodeSet, all bool) {
	union = slices.Concat(s, more)
	slices.Sort(union)
	union = slices.Compact(union)
	return union[:min(len(union), maxNodes)], len(union) <= maxNodes
}

// MarshalText returns the hashes one after the other, in hexadecimal.
func (s nodeSet) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 8*len(s))
	for _, node := range s {
		raw = binary.BigEndian.AppendUint64(raw, node)
	}
	return []byte(hex.EncodeToString(raw)), nil
}

// UnmarshalText is the reverse of MarshalText.
func (s *nodeSet) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil {
		return err
	}
	if len(raw)%8 != 0 || len(raw) > 8*maxNodes {
		return fmt.Errorf("%d bytes aren't the hashes of node ids", len(raw))
	}
	*s = nil
	for ; len(raw) > 0; raw = raw[8:] {
		*s = append(*s, binary.BigEndian.Uint64(raw))
	}
	slices.Sort(*s)
	*s = slices.Compact(*s)
	return nil
}
