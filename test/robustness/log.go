package robustness

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/util/json"
)

// sentinel is a key that no server looks at.
const sentinel = "/robustness/sentinel"

// Event is a change in etcd.
type Event struct {
	Kind     *Kind
	Name     string
	Revision uint64
	Deleted  bool
	Object   Object // before, if it was deleted
	Before   *Object
	Seen     time.Duration // when the log had it
}

// Log is all that was stored, in the order of etcd's revisions. It has a connection of its own to etcd, which nothing happens
// to but that etcd itself ends.
type Log struct {
	client *clientv3.Client
	clock  clock

	mu      sync.Mutex
	events  []Event
	states  map[*Kind]State
	at      uint64
	moved   chan struct{} // closed when at has changed
	failure error
}

// follow starts a log at the present revision of an etcd in which there is nothing yet.
func follow(ctx context.Context, client *clientv3.Client, c clock) (*Log, error) {
	now, err := client.Get(ctx, sentinel)
	if err != nil {
		return nil, err
	}
	l := &Log{client: client, clock: c, states: map[*Kind]State{}, moved: make(chan struct{})}
	watch := client.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(now.Header.Revision+1), clientv3.WithPrevKV())
	go func() {
		for response := range watch {
			l.take(response)
		}
	}()
	return l, nil
}

func (l *Log) take(response clientv3.WatchResponse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := response.Err(); err != nil && l.failure == nil {
		l.failure = fmt.Errorf("following etcd: %w", err)
	}
	for _, e := range response.Events {
		if err := l.add(e); err != nil && l.failure == nil {
			l.failure = err
		}
		l.at = uint64(e.Kv.ModRevision)
	}
	close(l.moved)
	l.moved = make(chan struct{})
}

func (l *Log) add(e *clientv3.Event) error {
	kind, name := kindOf(string(e.Kv.Key))
	if kind == nil {
		return nil
	}
	event := Event{Kind: kind, Name: name, Revision: uint64(e.Kv.ModRevision), Deleted: e.Type == clientv3.EventTypeDelete, Seen: l.clock.now()}
	state := l.states[kind]
	if before, is := state.Objects[name]; is {
		event.Before = &before
	}
	if event.Deleted {
		if event.Before == nil {
			return fmt.Errorf("%s %s is deleted at %d, and it wasn't there", kind.Name, name, event.Revision)
		}
		event.Object = *event.Before
		l.states[kind] = state.without(name, event.Revision)
	} else {
		var content map[string]any
		if err := json.Unmarshal(e.Kv.Value, &content); err != nil {
			return fmt.Errorf("%s: %w", e.Kv.Key, err)
		}
		event.Object = kind.object(content, event.Revision)
		l.states[kind] = state.with(name, event.Object)
	}
	l.events = append(l.events, event)
	return nil
}

// kindOf reads keys such as /gateway-apiserver.dev/gateway.networking.k8s.io/httproutes/NAMESPACE/NAME.
func kindOf(key string) (*Kind, string) {
	parts := strings.Split(key, "/")
	if len(parts) < 4 {
		return nil, ""
	}
	parts = parts[len(parts)-4:]
	for _, k := range kinds {
		if parts[0] == group && parts[1] == k.Resource && parts[2] == k.Namespace {
			return k, parts[3]
		}
	}
	return nil, ""
}

// Complete returns when the log has all that was stored before, and the revision that it is at.
func (l *Log) Complete(ctx context.Context) (uint64, error) {
	put, err := l.client.Put(ctx, sentinel, "")
	if err != nil {
		return 0, err
	}
	revision := uint64(put.Header.Revision)
	for {
		l.mu.Lock()
		at, moved, err := l.at, l.moved, l.failure
		l.mu.Unlock()
		if err != nil || at >= revision {
			return revision, err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, fmt.Errorf("the log is at %d, and etcd at %d: %w", at, revision, ctx.Err())
		}
	}
}

// Between returns the changes after one revision, up to another one.
func (l *Log) Between(after, until uint64) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var events []Event
	for _, e := range l.events {
		if e.Revision > after && e.Revision <= until {
			events = append(events, e)
		}
	}
	return events
}

// At returns the objects of a kind as they were at a revision.
func (l *Log) At(kind *Kind, revision uint64) State {
	return replay(kind, l.Between(0, revision))
}

func replay(kind *Kind, events []Event) (s State) {
	for _, e := range events {
		switch {
		case e.Kind != kind:
		case e.Deleted:
			s = s.without(e.Name, e.Revision)
		default:
			s = s.with(e.Name, e.Object)
		}
	}
	return s
}

// clock is the time since the test began. It is monotonic.
type clock struct{ began time.Time }

func (c clock) now() time.Duration { return time.Since(c.began) }
