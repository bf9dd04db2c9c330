package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"k8s.io/klog/v2"
)

// pageSize is how many Reports are written at once: etcd takes 128 operations in a transaction.
const pageSize = 100

// idle is how long there is nothing to do for when nothing is due.
const idle = time.Hour

// reporter writes the Reports of this replica. It is one goroutine.
type reporter struct {
	*Store
	config Config
	roster *roster

	// due has the scopes whose Report may have to be written, and when. at is when that was done last, for as long as it matters.
	due, at map[string]time.Time
	// written are the Reports that are in etcd. In a new session they are due, though nothing has changed.
	written map[string]Report
}

func newReporter(s *Store, config Config, roster *roster) *reporter {
	return &reporter{
		Store: s, config: config, roster: roster,
		due: map[string]time.Time{}, at: map[string]time.Time{}, written: map[string]Report{},
	}
}

// run reports until ctx ends. What could not be written for a while is written when etcd is back.
func (r *reporter) run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	failing := false
	for ctx.Err() == nil {
		began, err := r.attend(ctx)
		if ctx.Err() != nil {
			return
		}
		// An etcd that is away is reported once, and not by each try to reach it.
		if began || !failing {
			logger.Error(err, "Reporting to etcd which xDS nodes are connected; will try again")
		}
		failing = true
		pause(ctx, retryAfter)
	}
}

// attend reports with one lease until that is lost or ctx ends. It says whether the replica was present meanwhile.
func (r *reporter) attend(ctx context.Context) (began bool, err error) {
	// The session outlives ctx by as long as withdrawing may take.
	sessionCtx, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(withdrawTimeout, abandon) })()
	session, err := r.open(ctx, sessionCtx)
	if err != nil {
		return false, err
	}
	if err := r.begin(ctx, session.Lease()); err != nil {
		session.Orphan() // the lease runs out
		return false, err
	}
	r.roster.rewrite() // the others may have taken this replica for dead
	if err = r.follow(ctx, session); ctx.Err() != nil {
		return true, session.Close() // all that is bound to the lease goes
	}
	session.Orphan()
	return true, err
}

func (r *reporter) open(ctx, sessionCtx context.Context) (*concurrency.Session, error) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	lease, err := r.config.Client.Grant(asking, leaseSeconds)
	if err != nil {
		return nil, fmt.Errorf("asking for a lease: %w", err)
	}
	return concurrency.NewSession(r.config.Client,
		concurrency.WithContext(sessionCtx), concurrency.WithLease(lease.ID), concurrency.WithTTL(leaseSeconds))
}

// begin makes this replica present, and everything due, also what an earlier run has left behind.
func (r *reporter) begin(ctx context.Context, lease clientv3.LeaseID) error {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := r.config.Client.Txn(asking).Then(
		clientv3.OpPut(r.config.presence(), "{}", clientv3.WithLease(lease)),
		clientv3.OpGet(r.config.report(""), clientv3.WithPrefix(), clientv3.WithKeysOnly()),
	).Commit()
	if err != nil {
		return fmt.Errorf("saying that this replica is there: %w", err)
	}
	now := time.Now()
	for _, kv := range response.Responses[1].GetResponseRange().Kvs {
		if _, scope, ok := r.config.parse(kv.Key); ok {
			r.written[scope] = Report{} // unlike any other
		}
	}
	for scope := range r.written {
		r.written[scope], r.due[scope] = Report{}, now
	}
	return nil
}

// follow writes what changes, until the session ends. What can't be written stays due: an etcd that takes no writes still keeps
// the lease, and it gives no other.
func (r *reporter) follow(ctx context.Context, session *concurrency.Session) error {
	failing := false
	next := time.Now() // when something is due
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-session.Done():
			return errors.New("the lease has expired")
		case <-r.wake:
			next = earliest(next, r.collect(time.Now()))
		case <-timer.C:
			var err error
			next, err = r.write(ctx, session.Lease(), time.Now())
			switch {
			case errors.Is(err, rpctypes.ErrLeaseNotFound):
				return err
			case err != nil && !failing && ctx.Err() == nil:
				klog.FromContext(ctx).Error(err, "Reporting to etcd what xDS nodes have; will try again")
			}
			if failing = err != nil; failing {
				next = time.Now().Add(retryAfter)
			}
		}
		timer.Reset(time.Until(next))
	}
}

// collect makes scopes due that have changed. It returns when the first of them is.
func (r *reporter) collect(now time.Time) time.Time {
	first := now.Add(idle)
	for scope := range r.take() {
		if _, ok := r.due[scope]; ok {
			continue
		}
		due := now.Add(r.settle)
		if again := r.at[scope].Add(r.interval); again.After(due) {
			due = again
		}
		r.due[scope], first = due, earliest(first, due)
	}
	return first
}

// write writes the Reports that are due. It returns when the next one is.
func (r *reporter) write(ctx context.Context, lease clientv3.LeaseID, now time.Time) (time.Time, error) {
	for scope, at := range r.at {
		if now.Sub(at) >= r.interval {
			delete(r.at, scope)
		}
	}
	next := now.Add(idle)
	var page []Report
	for scope, due := range r.due {
		if due.After(now) {
			next = earliest(next, due)
			continue
		}
		report := r.look(scope)
		if before, ok := r.written[scope]; report == before || !ok && report.Nodes == 0 {
			delete(r.due, scope)
			continue
		}
		if page = append(page, report); len(page) == pageSize {
			if err := r.commit(ctx, lease, now, page); err != nil {
				return now, err
			}
			page = nil
		}
	}
	return next, r.commit(ctx, lease, now, page)
}

// commit writes Reports, or removes those that say nothing.
func (r *reporter) commit(ctx context.Context, lease clientv3.LeaseID, now time.Time, page []Report) error {
	if len(page) == 0 {
		return nil
	}
	var ops []clientv3.Op
	for _, report := range page {
		if report.Nodes == 0 {
			ops = append(ops, clientv3.OpDelete(r.config.report(report.Scope)))
			continue
		}
		value, err := json.Marshal(report)
		if err != nil {
			return err
		}
		ops = append(ops, clientv3.OpPut(r.config.report(report.Scope), string(value), clientv3.WithLease(lease)))
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if _, err := r.config.Client.Txn(asking).Then(ops...).Commit(); err != nil {
		return fmt.Errorf("writing reports: %w", err)
	}
	for _, report := range page {
		delete(r.due, report.Scope)
		r.at[report.Scope], r.written[report.Scope] = now, report
		if report.Nodes == 0 {
			delete(r.written, report.Scope)
		}
	}
	return nil
}

// look returns what there is to report of a scope.
func (r *reporter) look(scope string) Report {
	report := Report{Replica: r.config.Replica, Scope: scope}
	if r.config.Deliveries != nil {
		d := r.config.Deliveries.Delivery(scope)
		report.Version, report.Nodes, report.Current, report.Rejecting = d.Version, d.Streams, d.Current, d.Rejecting
		report.New, report.Late = d.New, d.Late
	}
	return report
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
