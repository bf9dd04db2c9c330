package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"
)

// listener hears what all replicas report, and tells the followers and the roster. It is one goroutine.
type listener struct {
	*Store
	config Config
	roster *roster

	// at is the revision up to which everything has been heard; 0 if that has to begin with a list.
	at int64
	// reports are those of the replicas, by scope and replica, and present the replicas.
	reports map[string]map[string]Report
	present map[string]struct{}
	failing bool // etcd hasn't been reached since that was reported
}

func newListener(s *Store, config Config, roster *roster) *listener {
	return &listener{Store: s, config: config, roster: roster, reports: map[string]map[string]Report{}, present: map[string]struct{}{}}
}

// run listens until ctx ends.
func (l *listener) run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	for ctx.Err() == nil {
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		// An etcd that is away is reported once, and not by each try to reach it.
		if !l.failing {
			logger.Error(err, "Following in etcd which xDS nodes are connected; will try again")
		}
		l.failing = true
		pause(ctx, retryAfter)
	}
}

// listen listens until that fails. It goes on where it was, or begins with a list if it was nowhere, or where etcd has forgotten
// what came next.
func (l *listener) listen(ctx context.Context) error {
	if l.at == 0 {
		if err := l.list(ctx); err != nil {
			return err
		}
	}
	// A watcher of its own has a connection of its own: a member of etcd that has lost the others must not keep it.
	watcher := clientv3.NewWatcher(l.config.Client)
	defer watcher.Close()
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for response := range watcher.Watch(ctx, l.config.directory(), clientv3.WithPrefix(), clientv3.WithRev(l.at+1), clientv3.WithCreatedNotify()) {
		if err := response.Err(); err != nil {
			if errors.Is(err, rpctypes.ErrCompacted) {
				l.at = 0
			}
			return fmt.Errorf("watching: %w", err)
		}
		l.failing = false
		changed := map[string]struct{}{}
		for _, event := range response.Events {
			if scope := l.apply(event.Kv, event.Type == clientv3.EventTypeDelete); scope != "" {
				changed[scope] = struct{}{}
			}
			l.at = event.Kv.ModRevision
		}
		l.tell(changed)
	}
	return errors.New("the watch has ended")
}

// list begins anew with what there is.
func (l *listener) list(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := l.config.Client.Get(asking, l.config.directory(), clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("listing: %w", err)
	}
	before := l.reports
	l.reports, l.present = map[string]map[string]Report{}, map[string]struct{}{}
	for _, kv := range response.Kvs {
		l.apply(kv, false)
	}
	l.at = response.Header.Revision
	changed := map[string]struct{}{}
	for _, reports := range []map[string]map[string]Report{before, l.reports} {
		for scope := range reports {
			if !maps.Equal(before[scope], l.reports[scope]) {
				changed[scope] = struct{}{}
			}
		}
	}
	l.tell(changed)
	return nil
}

// apply takes in a key that was written or has gone. It returns the scope of which there is another Report than before, or "".
func (l *listener) apply(kv *mvccpb.KeyValue, gone bool) string {
	replica, scope, ok := l.config.parse(kv.Key)
	switch {
	case !ok:
		return ""
	case scope == "" && gone:
		delete(l.present, replica)
		return ""
	case scope == "":
		l.present[replica] = struct{}{}
		return ""
	case gone:
		if delete(l.reports[scope], replica); len(l.reports[scope]) == 0 {
			delete(l.reports, scope)
		}
		return scope
	}
	report := Report{}
	if json.Unmarshal(kv.Value, &report) != nil {
		return "" // whatever it is, it is not ours
	}
	report.Replica, report.Scope = replica, scope
	if l.reports[scope] == nil {
		l.reports[scope] = map[string]Report{}
	}
	l.reports[scope][replica] = report
	return scope
}

// tell tells the followers of what has changed, and the roster who is present.
func (l *listener) tell(changed map[string]struct{}) {
	l.roster.replicas(maps.Clone(l.present))
	l.mu.Lock()
	followers := slices.Clone(l.followers)
	l.mu.Unlock()
	for _, scope := range slices.Sorted(maps.Keys(changed)) {
		reports := slices.SortedFunc(maps.Values(l.reports[scope]), func(a, b Report) int { return cmp.Compare(a.Replica, b.Replica) })
		for _, follower := range followers {
			follower(scope, slices.Clone(reports))
		}
	}
}
