package maintenance

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"
)

const (
	// interval is how often etcd is asked.
	interval = 30 * time.Second
	// answerTimeout is for whatever an etcd answers at once.
	answerTimeout = 5 * time.Second
	// compactKey is where k8s.io/apiserver keeps the revision that it has compacted.
	compactKey = "compact_rev_key"
)

// Options say what to do besides watching.
type Options struct {
	// Embedded says that the client's only endpoint is a member that runs in this process, which is to be defragmented, and
	// whose alarms are to be cleared.
	Embedded bool
	// Lock is the key below which the members of a cluster agree on who is defragmented. It must not be where objects are.
	Lock string
	// Interval is how often etcd is asked; 0 is 30 seconds.
	Interval time.Duration
}

// Run watches over etcd until ctx ends. What is wrong is logged when it begins and when it has ended, with the logger in
// ctx.
func Run(ctx context.Context, client *clientv3.Client, options Options) {
	registerMetrics()
	if options.Interval == 0 {
		options.Interval = interval
	}
	k := &keeper{Options: options, client: client, logger: klog.FromContext(ctx), troubles: map[string]int{}}
	defer k.forget()
	ticker := time.NewTicker(options.Interval)
	defer ticker.Stop()
	for {
		k.round(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// keeper is what one Run knows.
type keeper struct {
	Options
	client *clientv3.Client
	logger klog.Logger

	members  map[uint64]string // names by ID
	troubles map[string]int    // that have not ended, and for how many rounds they last
	// notBefore is when to try again to defragment, after it has failed.
	notBefore time.Time
}

// member is the state of a member that has answered.
type member struct {
	*clientv3.StatusResponse
	endpoint string
}

func (m member) id() uint64 { return m.Header.GetMemberId() }

// round asks once, and does what there is to do.
func (k *keeper) round(ctx context.Context) {
	members := k.status(ctx)
	if len(members) == 0 {
		return
	}
	k.listMembers(ctx)
	for _, m := range members {
		k.show(m)
	}
	alarms, known := k.alarms(ctx)
	k.compaction(ctx)
	if !k.Embedded || !known || ctx.Err() != nil {
		return
	}
	for _, m := range members {
		k.tend(ctx, m, alarms)
	}
	k.disarmStrangers(ctx, alarms)
}

// status asks the endpoints, all at once, and returns those that answer.
func (k *keeper) status(ctx context.Context) (members []member) {
	endpoints := k.client.Endpoints()
	answers, errs := make([]member, len(endpoints)), make([]error, len(endpoints))
	var asking sync.WaitGroup
	for i, endpoint := range endpoints {
		asking.Go(func() { answers[i], errs[i] = k.ask(ctx, endpoint) })
	}
	asking.Wait()
	lost := 0
	for i, endpoint := range endpoints {
		if k.trouble(ctx, "status "+endpoint, opStatus, errs[i], "etcd does not answer", "etcd answers again", "endpoint", endpoint) {
			lost++
		} else {
			members = append(members, answers[i])
		}
	}
	unreachable.Set(float64(lost))
	return members
}

// ask asks an endpoint for the state of its member.
func (k *keeper) ask(ctx context.Context, endpoint string) (member, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	status, err := k.client.Status(ctx, endpoint)
	return member{StatusResponse: status, endpoint: endpoint}, err
}

func (k *keeper) show(m member) {
	name := k.name(m.id())
	sizeBytes.WithLabelValues(name).Set(float64(m.DbSize))
	inUseBytes.WithLabelValues(name).Set(float64(m.DbSizeInUse))
	if m.DbSizeQuota > 0 {
		quotaBytes.WithLabelValues(name).Set(float64(m.DbSizeQuota))
	}
	revision.Set(float64(m.Header.GetRevision()))
}

// listMembers learns the names of the members, and drops the metrics of those that have left.
func (k *keeper) listMembers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	list, err := k.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return // the next round will do, or say what is wrong
	}
	members := map[uint64]string{}
	for _, m := range list.Members {
		if members[m.GetID()] = m.GetName(); m.GetName() == "" { // it has never run
			members[m.GetID()] = unnamed(m.GetID())
		}
	}
	gone := k.members
	k.members = members
	for id, name := range gone {
		if members[id] != name {
			drop(name)
		}
	}
}

func (k *keeper) name(id uint64) string {
	if name := k.members[id]; name != "" {
		return name
	}
	return unnamed(id)
}

func unnamed(id uint64) string { return fmt.Sprintf("%x", id) }

// forget drops the metrics of all members.
func (k *keeper) forget() {
	for _, name := range k.members {
		drop(name)
	}
}

func drop(name string) {
	for _, vec := range []interface{ DeleteLabelValues(...string) bool }{sizeBytes, inUseBytes, quotaBytes, defragmentedAt, defragmentSeconds} {
		vec.DeleteLabelValues(name)
	}
	for _, alarm := range alarmTypes {
		alarmsRaised.DeleteLabelValues(name, alarm.String())
	}
}

var alarmTypes = []etcdserverpb.AlarmType{etcdserverpb.AlarmType_NOSPACE, etcdserverpb.AlarmType_CORRUPT}

// whatNow is what an alarm means, and what to do.
var whatNow = map[etcdserverpb.AlarmType]string{
	etcdserverpb.AlarmType_NOSPACE: "etcd is out of space and refuses writes",
	etcdserverpb.AlarmType_CORRUPT: "etcd has found that its members differ, and refuses requests: restore a backup",
}

// alarms returns the alarms that are raised, shows them, and says when one begins and has ended.
func (k *keeper) alarms(ctx context.Context) (raised []*etcdserverpb.AlarmMember, known bool) {
	asking, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	list, err := k.client.AlarmList(asking)
	if k.trouble(ctx, "alarms", opAlarms, err, "Asking etcd for its alarms", "etcd tells its alarms again") {
		return nil, false
	}
	names := map[string]bool{}
	for _, name := range k.members {
		names[name] = true
	}
	for _, alarm := range list.Alarms {
		names[k.name(alarm.GetMemberID())] = true
	}
	for name := range names {
		for _, kind := range alarmTypes {
			k.showAlarm(name, kind, list.Alarms)
		}
	}
	return list.Alarms, true
}

func (k *keeper) showAlarm(name string, kind etcdserverpb.AlarmType, raised []*etcdserverpb.AlarmMember) {
	gauge := alarmsRaised.WithLabelValues(name, kind.String())
	gauge.Set(0)
	key := "alarm " + kind.String() + " " + name
	logger := k.logger.WithValues("alarm", kind.String(), "member", name)
	for _, alarm := range raised {
		if alarm.GetAlarm() != kind || k.name(alarm.GetMemberID()) != name {
			continue
		}
		gauge.Set(1)
		if k.troubles[key]++; k.troubles[key] == 1 {
			advice := "its operator has to compact and defragment it, or to raise its quota, and then to disarm the alarm"
			if k.Embedded {
				advice = "it is compacted and defragmented now"
			}
			logger.Error(nil, whatNow[kind], "action", advice)
		}
		return
	}
	if k.troubles[key] > 0 {
		delete(k.troubles, key)
		logger.Info("The alarm of etcd is disarmed")
	}
}

// compaction shows what the API server has had etcd compact.
func (k *keeper) compaction(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	got, err := k.client.Get(ctx, compactKey, clientv3.WithSerializable())
	if err != nil || len(got.Kvs) == 0 {
		return
	}
	if compacted, err := strconv.ParseInt(string(got.Kvs[0].GetValue()), 10, 64); err == nil {
		compactedRevision.Set(float64(compacted))
	}
}

// trouble says whether there is an error. It is counted each time, logged when it begins, and again when it has ended. What
// can't be asked or locked is not worth a line at first: etcd answers nothing for a moment while it elects a leader.
func (k *keeper) trouble(ctx context.Context, key, operation string, err error, begun, ended string, values ...any) bool {
	first := 1
	if operation == opStatus || operation == opAlarms || operation == opLock {
		first = 2
	}
	if err == nil {
		if k.troubles[key] >= first {
			k.logger.Info(ended, values...)
		}
		delete(k.troubles, key)
		return false
	}
	if ctx.Err() == nil {
		failures.WithLabelValues(operation).Inc()
		if k.troubles[key]++; k.troubles[key] == first {
			k.logger.Error(err, begun, values...)
		}
	}
	return true
}
