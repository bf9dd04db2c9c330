package engine

import (
	"bytes"
	"maps"
	"slices"
	"sort"

	"github.com/cespare/xxhash/v2"
	resource "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// table is a table of virtual hosts as it is published: one RouteConfiguration, in which the hosts are sorted by domain. When one
// changes, the others aren't encoded again; what is copied and hashed is those of its chunk.
type table struct {
	header cache.Part
	chunks []*chunk // sorted
	// clusters are those that each virtual host uses.
	clusters map[string][]translate.ClusterKey
	// changed are the virtual hosts that are to be published, encoded, or withdrawn if they are nil.
	changed map[string][]byte
}

// chunk is a run of virtual hosts. It is never written to.
type chunk struct {
	domains []string
	ends    []int // where each ends in part
	part    cache.Part
}

// meanChunk is how many virtual hosts a chunk has in the mean.
const meanChunk = 128

// growth is how much larger, in bytes, a chunk may become by a change without being copied, and so how much of it may be unused.
const growth = 512

// beginsChunk says whether a virtual host is the first of a chunk, as that of the whole table is too. It doesn't depend on what was
// there before, so that tables with the same hosts have the same chunks, and versions.
func beginsChunk(domain string) bool { return xxhash.Sum64String(domain)%meanChunk == 0 }

func newTable(key graph.TableKey) *table {
	return &table{
		header:   cache.NewPart(translate.TableHeader(key)),
		clusters: map[string][]translate.ClusterKey{},
		changed:  map[string][]byte{},
	}
}

// set takes a virtual host, or nil for one that is gone, and returns the clusters that it used before.
func (t *table) set(domain string, encoded []byte, clusters []translate.ClusterKey) (before []translate.ClusterKey) {
	before = t.clusters[domain]
	if encoded == nil {
		delete(t.clusters, domain)
		t.changed[domain] = nil
		return before
	}
	t.clusters[domain] = clusters
	t.changed[domain] = translate.TableHost(encoded)
	return before
}

// assemble returns the RouteConfiguration with what has changed, or nil if there are no virtual hosts any more.
func (t *table) assemble(key graph.TableKey) *cache.Resource {
	t.rechunk()
	if len(t.chunks) == 0 {
		return nil
	}
	parts := make([]cache.Part, 0, 1+len(t.chunks))
	parts = append(parts, t.header)
	for _, c := range t.chunks {
		parts = append(parts, c.part)
	}
	return cache.NewSpliced(resource.RouteType, translate.RouteConfigurationName(key), parts)
}

// rechunk puts what has changed into chunks. A host that begins one, and comes or goes, divides or joins those around it, so a
// change concerns its chunk and the one before.
func (t *table) rechunk() {
	changes := slices.Sorted(maps.Keys(t.changed))
	var next []*chunk
	from := 0 // the first chunk that isn't in next
	for len(changes) > 0 {
		last := t.chunkOf(changes[0])
		first, n := max(from, last-1), 1
		for n < len(changes) && t.chunkOf(changes[n]) <= last+1 {
			last = t.chunkOf(changes[n])
			n++
		}
		end := min(last+1, len(t.chunks))
		next = append(next, t.chunks[from:first]...)
		next = append(next, t.merge(t.chunks[first:end], changes[:n])...)
		from, changes = end, changes[n:]
	}
	t.chunks = append(next, t.chunks[from:]...)
	clear(t.changed)
}

// chunkOf returns the index of the chunk in which a virtual host is, or would be.
func (t *table) chunkOf(domain string) int {
	after := sort.Search(len(t.chunks), func(i int) bool { return t.chunks[i].domains[0] > domain })
	return max(0, after-1)
}

// merge returns chunks with the changes to their hosts.
func (t *table) merge(chunks []*chunk, changes []string) []*chunk {
	var b chunkBuilder
	for _, c := range chunks {
		b.room = len(c.part.Bytes()) + growth
		start := 0
		for i, domain := range c.domains {
			for len(changes) > 0 && changes[0] < domain {
				b.add(changes[0], t.changed[changes[0]])
				changes = changes[1:]
			}
			host := c.part.Bytes()[start:c.ends[i]]
			start = c.ends[i]
			if len(changes) > 0 && changes[0] == domain {
				host = t.changed[domain]
				changes = changes[1:]
			}
			b.add(domain, host)
		}
	}
	for _, domain := range changes {
		b.add(domain, t.changed[domain])
	}
	b.end()
	return b.chunks
}

// chunkBuilder makes chunks of virtual hosts that come sorted.
type chunkBuilder struct {
	chunks []*chunk
	next   chunk
	bytes  []byte
	room   int // that the next chunk is likely to need
}

// add adds a virtual host, or nothing if it is nil.
func (b *chunkBuilder) add(domain string, host []byte) {
	if host == nil {
		return
	}
	if beginsChunk(domain) {
		b.end()
	}
	if b.bytes == nil {
		b.bytes = make([]byte, 0, max(b.room, len(host)))
	}
	b.bytes = append(b.bytes, host...)
	b.next.domains, b.next.ends = append(b.next.domains, domain), append(b.next.ends, len(b.bytes))
}

func (b *chunkBuilder) end() {
	if len(b.next.domains) == 0 {
		return
	}
	if cap(b.bytes)-len(b.bytes) > growth {
		b.bytes = bytes.Clone(b.bytes)
	}
	c := b.next
	c.part = cache.NewPart(b.bytes)
	b.chunks, b.next, b.bytes = append(b.chunks, &c), chunk{}, nil
}
