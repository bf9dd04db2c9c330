package maintenance

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	// smallBytes is the size below which a database isn't worth a defragmentation.
	smallBytes = 64 << 20
	// defragmentTimeout is for some seconds per GiB, on a slow disk.
	defragmentTimeout = 10 * time.Minute
	// lockSeconds is how long the lock outlives a process that dies, or a member that is too busy to renew it.
	lockSeconds = 600
	// retryAfter is when a defragmentation that has failed is tried again: it has cost the disk much already.
	retryAfter = 10 * time.Minute
)

// worthwhile says whether a defragmentation gives back at least half of a file that isn't small.
func worthwhile(m member) bool { return m.DbSize > smallBytes && m.DbSizeInUse < m.DbSize/2 }

// roomy says whether a member is so far from its quota that an alarm wouldn't be raised again at once.
func roomy(m member) bool { return m.DbSize < m.DbSizeQuota/10*9 }

// tend does to a member what it needs.
func (k *keeper) tend(ctx context.Context, m member, alarms []*etcdserverpb.AlarmMember) {
	full := slices.ContainsFunc(alarms, func(a *etcdserverpb.AlarmMember) bool {
		return a.GetMemberID() == m.id() && a.GetAlarm() == etcdserverpb.AlarmType_NOSPACE
	})
	switch {
	case full:
		k.relieve(ctx, m)
	case worthwhile(m) && !time.Now().Before(k.notBefore):
		k.defragmentInTurn(ctx, m)
	}
}

// defragmentInTurn defragments a member if no other one is being defragmented. A member that leads makes another one the
// leader; its turn comes when it has become a follower.
func (k *keeper) defragmentInTurn(ctx context.Context, m member) {
	name := k.name(m.id())
	err := k.locked(ctx, func() error {
		if m.Leader == m.id() && len(k.members) > 1 {
			return k.handOver(ctx, m)
		}
		if err := k.defragment(ctx, m); k.trouble(ctx, "defragment", opDefragment, err, "Defragmenting etcd; will try again later", "etcd is defragmented", "member", name) {
			k.notBefore = time.Now().Add(retryAfter)
		}
		return nil
	})
	if errors.Is(err, concurrency.ErrLocked) {
		err = nil // another one's turn
	}
	k.trouble(ctx, "lock", opLock, err, "Waiting for the turn to defragment etcd", "etcd can be defragmented again", "member", name)
}

// locked calls f while this process has the lock.
func (k *keeper) locked(ctx context.Context, f func() error) error {
	starting, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	lease, err := k.client.Grant(starting, lockSeconds)
	if err != nil {
		return err
	}
	session, err := concurrency.NewSession(k.client, concurrency.WithLease(lease.ID), concurrency.WithContext(ctx))
	if err != nil {
		return err
	}
	defer func() {
		session.Orphan()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
		defer cancel()
		_, _ = k.client.Revoke(ending, lease.ID) // or it runs out
	}()
	if err := concurrency.NewMutex(session, k.Lock).TryLock(starting); err != nil {
		return err
	}
	return f()
}

// handOver makes any other member the leader.
func (k *keeper) handOver(ctx context.Context, m member) (err error) {
	for id := range k.members {
		if id == m.id() {
			continue
		}
		moving, cancel := context.WithTimeout(ctx, answerTimeout)
		_, err = k.client.MoveLeader(moving, id)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

func (k *keeper) defragment(ctx context.Context, m member) error {
	name := k.name(m.id())
	k.logger.Info("Defragmenting etcd, which answers nobody meanwhile", "member", name, "bytes", m.DbSize, "inUse", m.DbSizeInUse)
	ctx, cancel := context.WithTimeout(ctx, defragmentTimeout)
	defer cancel()
	start := time.Now()
	if _, err := k.client.Defragment(ctx, m.endpoint); err != nil {
		return err
	}
	took := time.Since(start)
	defragmentedAt.WithLabelValues(name).Set(float64(start.Unix()))
	defragmentSeconds.WithLabelValues(name).Set(took.Seconds())
	after, err := k.ask(ctx, m.endpoint)
	if err != nil {
		return err
	}
	k.logger.Info("Defragmented etcd", "member", name, "bytes", after.DbSize, "took", took)
	return nil
}

// relieve makes room in a member that is out of space, and disarms its alarm once there is. Old revisions go at once: the
// API server can't compact, as it would have to write for it.
func (k *keeper) relieve(ctx context.Context, m member) {
	name := k.name(m.id())
	if err := k.compact(ctx, m); k.trouble(ctx, "compact", opCompact, err, "Compacting an etcd that is out of space", "Compacted etcd", "member", name) {
		return
	}
	m, err := k.ask(ctx, m.endpoint)
	if err == nil && m.DbSizeInUse < m.DbSize/10*9 { // or it is full of what nobody can take out
		if err = k.defragment(ctx, m); err == nil {
			m, err = k.ask(ctx, m.endpoint)
		}
	}
	if k.trouble(ctx, "defragment", opDefragment, err, "Defragmenting an etcd that is out of space", "etcd is defragmented", "member", name) {
		return
	}
	full := errors.New("nothing more can be compacted")
	if roomy(m) {
		full = nil
	}
	if k.trouble(ctx, "full", opDisarm, full, "etcd is full: delete objects, and it takes writes again by itself", "There is room in etcd again",
		"member", name, "bytes", m.DbSize, "inUse", m.DbSizeInUse, "quota", m.DbSizeQuota) {
		return
	}
	k.disarm(ctx, &etcdserverpb.AlarmMember{MemberID: m.id(), Alarm: etcdserverpb.AlarmType_NOSPACE})
}

func (k *keeper) compact(ctx context.Context, m member) error {
	ctx, cancel := context.WithTimeout(ctx, defragmentTimeout)
	defer cancel()
	_, err := k.client.Compact(ctx, m.Header.GetRevision(), clientv3.WithCompactPhysical())
	if errors.Is(err, rpctypes.ErrCompacted) {
		return nil
	}
	return err
}

// disarmStrangers disarms the alarms of members that have left: nobody else would, and they hold for all.
func (k *keeper) disarmStrangers(ctx context.Context, alarms []*etcdserverpb.AlarmMember) {
	for _, alarm := range alarms {
		if _, here := k.members[alarm.GetMemberID()]; !here && len(k.members) > 0 && alarm.GetAlarm() == etcdserverpb.AlarmType_NOSPACE {
			k.disarm(ctx, alarm)
		}
	}
}

func (k *keeper) disarm(ctx context.Context, alarm *etcdserverpb.AlarmMember) {
	disarming, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := k.client.AlarmDisarm(disarming, (*clientv3.AlarmMember)(alarm))
	k.trouble(ctx, "disarm", opDisarm, err, "Disarming an alarm of etcd; will try again", "The alarm of etcd could be disarmed", "member", k.name(alarm.GetMemberID()))
}
