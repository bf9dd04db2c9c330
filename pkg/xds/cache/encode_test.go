package cache

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// TestEncode compares what is encoded by hand with what Protocol Buffers make of it, and holds that streams share it.
func TestEncode(t *testing.T) {
	t.Parallel()
	c := New()
	large := strings.Repeat("x", ownBuffer)
	c.Publish("s", set(res(lds, "a", "1"), res(lds, "b", large), res(lds, "c", ""), res(lds, "d", large), res(lds, "e", "5")))
	var before []byte
	for range 2 {
		d := newDelta(t, c, "s")
		d.subscribe(lds, "*", "gone", "gone too")
		got := d.responses[0].Encode()
		want, err := proto.Marshal(decoded(t, d.responses[0]))
		if err != nil || !bytes.Equal(got.Materialize(), want) {
			t.Errorf("got %d bytes, want %d (%v)", got.Len(), len(want), err)
		}
		if len(got) == 1 {
			t.Error("large resources are copied")
		}
		d.close()
		d = newDelta(t, c, "s")
		d.subscribe(lds)
		shared := d.responses[0].Encode()[1].ReadOnlyData()
		if before == nil {
			before = shared
		} else if &before[0] != &shared[0] {
			t.Error("streams don't share what they are sent")
		}
	}
}

// TestEncodeParts holds that large parts are sent as they are, from where they are.
func TestEncodeParts(t *testing.T) {
	t.Parallel()
	large := []byte(strings.Repeat("x", ownBuffer))
	for _, parts := range [][]Part{
		{NewPart([]byte("a")), NewPart(large), NewPart([]byte("b")), NewPart(large)},
		{NewPart(large), NewPart(large)},
	} {
		c := New()
		c.Publish("s", Update{Set: []*Resource{NewSpliced(rds, "r", parts)}})
		d := newDelta(t, c, "s")
		d.subscribe(rds, "r")
		got := d.responses[0].Encode()
		want, err := proto.Marshal(decoded(t, d.responses[0]))
		if err != nil || !bytes.Equal(got.Materialize(), want) {
			t.Errorf("got %d bytes, want %d (%v)", got.Len(), len(want), err)
		}
		same := 0
		for _, b := range got {
			if data := b.ReadOnlyData(); len(data) == len(large) && &data[0] == &large[0] {
				same++
			}
		}
		if same != 2 {
			t.Errorf("%d of 2 large parts are sent without being copied", same)
		}
	}
}

// TestSpliced holds that a resource of parts is the one that has them at one go, but for its version, and that its version says
// what its parts are.
func TestSpliced(t *testing.T) {
	t.Parallel()
	part := func(s string) Part { return NewPart([]byte(s)) }
	whole := NewResource(rds, "r", []byte("abc"))
	spliced := NewSpliced(rds, "r", []Part{part("a"), part("bc")})
	if first, second := spliced.Any(), spliced.Any(); !proto.Equal(first, whole.Any()) || first != second {
		t.Errorf("got %v and %v, want %v twice", first, second, whole.Any())
	}
	versions := map[string]string{}
	for i, r := range []*Resource{
		spliced,
		NewSpliced(rds, "r", []Part{part("bc"), part("a")}),
		NewSpliced(rds, "r", []Part{part("a")}),
		NewSpliced(rds, "r", nil),
		NewSpliced(rds, "r", []Part{part("a"), part("bd")}),
	} {
		if other, ok := versions[r.Version()]; ok {
			t.Errorf("%d has the version of %s", i, other)
		}
		versions[r.Version()] = fmt.Sprint(i)
	}
	again := NewSpliced(rds, "other", []Part{part("a"), part("bc")})
	if again.Version() != spliced.Version() || again.sum == spliced.sum {
		t.Error("the version is not that of the content, or the sum not that of the name, too")
	}
	c := New()
	c.Publish("s", set(spliced))
	d, s := newDelta(t, c, "s"), newState(t, c, "s")
	d.subscribe(rds, "r")
	d.wantAck("routes +r=abc")
	s.subscribe(rds, nil, "r")
	s.wantAck("routes abc")
}
