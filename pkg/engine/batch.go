package engine

import (
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// rejoinBound is how long the next write of a status waits for those who waited for the last one to come again.
const rejoinBound = 50 * time.Millisecond

// batch shares the writes of a status among many who wait for it, as databases share the commits of their logs. Clients that create
// routes of one Gateway, one after the other each, come in step: those that a write has released are the ones that wait for the
// next. If it began with the first of them, the others would have to wait for the one after it, and there would be many writes.
type batch struct {
	writing bool
	// waiters is how many waited for the write that is being done.
	waiters int
	// expected is for how many the next write waits, or else until the batch ends.
	expected int
	// again says that there is something to write.
	again bool
}

// admit has a status written: at once, unless more of those who wait for it are expected.
func (e *Engine) admit(key graph.Key) {
	b := e.batches[key]
	if b == nil {
		e.queue.Add(key)
		return
	}
	b.again = true
	if !b.writing && len(e.waiting[key]) >= b.expected {
		e.endBatch(key, b)
	}
}

// endBatch has what there is to write written.
func (e *Engine) endBatch(key graph.Key, b *batch) {
	delete(e.batches, key)
	if b.again {
		e.queue.Add(key)
	}
}

// beginWrite begins a batch with a write for which some wait.
func (e *Engine) beginWrite(key graph.Key, waiters int) {
	e.batches[key] = &batch{writing: true, waiters: waiters}
}

// endWrite expects those who have waited, and are about to be released, to come again, besides those who have come meanwhile.
// Somebody who is alone has nobody to share with.
func (e *Engine) endWrite(key graph.Key) {
	b := e.batches[key]
	b.writing, b.expected = false, b.waiters+len(e.waiting[key])
	if b.expected < 2 || b.waiters == 0 {
		e.endBatch(key, b)
		return
	}
	time.AfterFunc(rejoinBound, func() {
		e.post(func() {
			if e.batches[key] == b {
				e.endBatch(key, b)
			}
		})
	})
}
