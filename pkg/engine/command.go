package engine

import (
	"context"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

const (
	// maxBatch bounds how many commands share one publication, so that a flood of changes cannot delay it for long.
	maxBatch = 64
	// admission is how long events of watches are let in while the gate is closed. Each may refer to something that has to be
	// read first: a steady stream of them would keep the gate closed for ever.
	admission = 500 * time.Millisecond
)

// command is something to do with the graph.
type command struct {
	do func()
	// done is closed after it was done and, unless the gate is closed, what it changed is published.
	done   chan struct{}
	timing timing
	// settle is told of the statuses that the publication of what changed has made stale; nil for who doesn't wait for it.
	settle func(stale []graph.Key)
}

// timing is what a closed gate means to a command.
type timing int

const (
	// atOnce is for what the gate is nothing to: questions, bounds that have passed, and the objects that it is closed for.
	atOnce timing = iota
	// fromWatch is for events of watches, which wait if the gate has been closed for long.
	fromWatch
	// untilPublished is for what is done at once, but whose done is closed only when what it changed is published.
	untilPublished
	// onceLoaded is for what is done when the gate is open.
	onceLoaded
)

// gate is closed while an object that the graph needs is read for the first time: without it, the graph would say that it
// doesn't exist. Nothing of that may reach Envoys, which would lose a listener for a moment, or a status. Each object keeps
// the gate closed for at most loadBound.
type gate struct {
	awaited map[graph.Key]struct{} // what is being read
	since   time.Time              // when the first of these was asked for
	held    []command              // not done yet
	// unpublished are done.
	unpublished []command
}

func (g *gate) closed() bool { return len(g.awaited) > 0 }

func (g *gate) await(key graph.Key) {
	if !g.closed() {
		g.since = time.Now()
	}
	g.awaited[key] = struct{}{}
}

// holds says whether c has to wait.
func (g *gate) holds(c command) bool {
	switch c.timing {
	case fromWatch:
		return g.closed() && time.Since(g.since) > admission
	case onceLoaded:
		return g.closed()
	}
	return false
}

// perform does c and the commands that wait behind it, and publishes once what all of them changed. When that opens the
// gate, what was held behind it is next.
func (e *Engine) perform(c command) {
	batch := []command{c}
	for more := true; more && len(batch) < maxBatch; {
		select {
		case c = <-e.commands:
			batch = append(batch, c)
		default:
			more = false
		}
	}
	for len(batch) > 0 {
		var done []command
		for _, c := range batch {
			if e.gate.holds(c) {
				e.gate.held = append(e.gate.held, c)
				continue
			}
			c.do()
			done = append(done, c)
		}
		batch = e.conclude(done)
	}
}

// conclude publishes what commands have changed, tells those who wait for them, and returns the commands that are next.
func (e *Engine) conclude(done []command) (next []command) {
	publish := e.loaded && !e.gate.closed()
	if publish {
		stale := e.publish()
		if !e.HasSynced() {
			close(e.synced)
		}
		done = append(done, e.gate.unpublished...)
		e.settlePublished(done, stale)
		next, e.gate.held, e.gate.unpublished = e.gate.held, nil, nil
	}
	for _, c := range done {
		if c.timing == untilPublished && e.loaded && !publish {
			e.gate.unpublished = append(e.gate.unpublished, c)
		} else {
			close(c.done)
		}
	}
	e.checkConditions()
	return next
}

// settlePublished has statuses written that a publication has made stale: by this replica if one of the commands is a commit of
// its own, and then all those commits wait for it, and otherwise by the leader.
func (e *Engine) settlePublished(done []command, stale []graph.Key) {
	if len(stale) == 0 {
		return
	}
	own := false
	for _, c := range done {
		if c.settle != nil {
			own = true
			c.settle(stale)
		}
	}
	if own {
		e.enqueue(stale)
	} else {
		e.found(stale)
	}
}

// do has the engine's goroutine run f, and waits for that.
func (e *Engine) do(ctx context.Context, timing timing, f func()) error {
	c := command{do: f, done: make(chan struct{}), timing: timing}
	if err := e.send(ctx, c); err != nil {
		return err
	}
	return e.await(ctx, c.done)
}

// inspect is do for an f after which there is nothing to publish: it doesn't wait for the rest of the batch.
func (e *Engine) inspect(ctx context.Context, f func()) error {
	inspected := make(chan struct{})
	err := e.send(ctx, command{do: func() { f(); close(inspected) }, done: make(chan struct{})})
	if err != nil {
		return err
	}
	return e.await(ctx, inspected)
}

// post has the engine's goroutine run f, some time. It is for calls that nobody waits for.
func (e *Engine) post(f func()) {
	_ = e.send(context.Background(), command{do: f, done: make(chan struct{})}) // an engine that has stopped needs no more of it
}

func (e *Engine) send(ctx context.Context, c command) error {
	select {
	case e.commands <- c:
		return nil
	case <-e.stopped:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await waits until done is closed.
func (e *Engine) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-e.stopped:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
