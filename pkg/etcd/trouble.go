package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// Trouble is a reason why etcd doesn't do what it is asked.
type Trouble string

// The troubles that clients can be told more of than etcd's own words.
const (
	// NoSpace is the alarm NOSPACE: the database of a member has grown to its quota. Reads and deletions go on.
	NoSpace Trouble = "no_space"
	// Corrupt is the alarm CORRUPT: members have found that they don't have the same data. Nothing goes on.
	Corrupt Trouble = "corrupt"
	// NoLeader says that a majority of the members is missing.
	NoLeader Trouble = "no_leader"
	// Unreachable says that no member can be connected to, or that the connection has ended before the answer.
	Unreachable Trouble = "unreachable"
	// Slow says that there was no answer in time.
	Slow Trouble = "slow"
	// Denied says that etcd doesn't allow the user as whom we connect what was asked, as when it may only read.
	Denied Trouble = "denied"
)

// Troubles are all of them.
var Troubles = []Trouble{NoSpace, Corrupt, NoLeader, Unreachable, Slow, Denied}

// TroubleOf says what an error of an etcd client means; it is empty if that isn't about the state of etcd.
func TroubleOf(err error) Trouble {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return NoSpace
	case errors.Is(err, rpctypes.ErrCorrupt):
		return Corrupt
	case oneOf(err, rpctypes.ErrNoLeader, rpctypes.ErrLeaderChanged, rpctypes.ErrTimeoutDueToLeaderFail, rpctypes.ErrNotLeader):
		return NoLeader
	case oneOf(err, rpctypes.ErrTimeout, rpctypes.ErrTimeoutDueToConnectionLost, rpctypes.ErrTimeoutWaitAppliedIndex,
		rpctypes.ErrTooManyRequests, context.DeadlineExceeded):
		return Slow
	case oneOf(err, rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrInvalidAuthToken, rpctypes.ErrUserEmpty):
		return Denied
	}
	switch codeOf(err) {
	case codes.Unavailable:
		return Unreachable
	case codes.DeadlineExceeded:
		return Slow
	}
	return ""
}

func oneOf(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// codeOf is the gRPC code of an error; etcd's own errors have one, too.
func codeOf(err error) codes.Code {
	var coded interface{ Code() codes.Code }
	if errors.As(err, &coded) {
		return coded.Code()
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return codes.Unknown
}

// Connected says whether a client has a connection to a member, or will make one when it needs it. A request without one
// waits, and then its error is the same as if there were no answer.
func Connected(client *clientv3.Client) bool {
	state := client.ActiveConnection().GetState()
	return state == connectivity.Ready || state == connectivity.Idle
}

const (
	// statusTimeout is for a member that answers at once, or else is too busy to be asked for anything.
	statusTimeout = 2 * time.Second
	// statusAge is for how long an answer is good: many may ask, and etcd has other things to do.
	statusAge = time.Second
)

// Writable knows whether etcd takes writes, without changing anything. It is safe for concurrent use.
type Writable struct {
	client *clientv3.Client
	prefix string

	mu      sync.Mutex
	asked   time.Time
	err     error
	refused error // until a write is allowed again
}

// NewWritable returns one for the etcd of a client, which has to be allowed to write below a prefix.
func NewWritable(client *clientv3.Client, prefix string) *Writable {
	return &Writable{client: client, prefix: prefix}
}

// Check says why etcd takes no writes. One member that says it does is enough: an alarm of any member holds for all, and each
// knows whether there is a leader. What none of them says is whether we may write, and some releases (3.6) tell nobody but root anything.
func (w *Writable) Check(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.asked.IsZero() && time.Since(w.asked) < statusAge {
		return w.err
	}
	told, silent := false, false
	var errs []error
	for _, endpoint := range w.client.Endpoints() {
		err := w.ask(ctx, endpoint)
		if told = err == nil; told {
			break
		}
		silent = silent || TroubleOf(err) == Denied
		errs = append(errs, fmt.Errorf("%s: %w", endpoint, err))
	}
	if w.err = errors.Join(errs...); told || silent {
		w.err = w.try(ctx, told)
	}
	w.asked = time.Now()
	return w.err
}

// try says why we may not write below the prefix, if that is so. It would write a key that nobody ever writes, on a condition that is
// never met: etcd allows or refuses that as it does any other write, and nothing changes, not even the revision. No write of a
// client is needed for it to be noticed, nor for it to be over, and a denied write of something that isn't ours doesn't count. Other
// failures do only if no member has told us about itself.
func (w *Writable) try(ctx context.Context, told bool) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	key := w.prefix + "/"
	_, err := w.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "<", 0)).Then(clientv3.OpPut(key, "")).Commit()
	switch trouble := TroubleOf(err); {
	case err == nil:
		w.refused = nil
	case trouble == Denied || trouble == NoSpace:
		w.refused = fmt.Errorf("writes below %s are refused: %w", w.prefix, err)
	case !told:
		return err
	}
	return w.refused
}

func (w *Writable) ask(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	s, err := w.client.Status(ctx, endpoint)
	switch {
	case err != nil && !Connected(w.client):
		return fmt.Errorf("can't be reached: %w", err)
	case err != nil:
		return err
	case s.Leader == 0:
		return errors.New("there is no leader: a majority of the members is missing")
	case len(s.Errors) > 0: // alarms, such as "memberID:1 alarm:NOSPACE "
		return fmt.Errorf("alarms have been raised: %s", strings.TrimSpace(strings.Join(s.Errors, ", ")))
	}
	return nil
}
