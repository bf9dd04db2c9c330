package etcd

import (
	"errors"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// logger sends etcd's errors to klog. A fatal entry panics instead of ending the process, so that start can report it.
func logger(stopping *atomic.Bool) *zap.Logger {
	return zap.New(klogCore{LevelEnabler: zapcore.ErrorLevel, stopping: stopping}, zap.WithFatalHook(zapcore.WriteThenPanic))
}

// klogCore is a zapcore.Core that writes to klog.
type klogCore struct {
	zapcore.LevelEnabler
	stopping *atomic.Bool
}

func (c klogCore) With([]zapcore.Field) zapcore.Core { return c }

func (c klogCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) && !c.expected(e) {
		return checked.AddCore(e, c)
	}
	return checked
}

// unremarkable are messages that etcd logs as errors and that report none.
var unremarkable = []string{
	// a new member has no raft term yet when it first looks for the version of its storage
	"failed to update storage version",
	// a member that joins asks until it is
	"rejecting promote learner: learner is not ready",
	// StartEtcd returns it
	"bootstrap failed",
	// Failed receives it
	"setting up serving from embedded etcd failed.",
}

// expected tells the entries that need nobody's attention. When etcd is stopped, its listeners end.
func (c klogCore) expected(e zapcore.Entry) bool {
	return e.Level == zapcore.ErrorLevel && (c.stopping.Load() || slices.Contains(unremarkable, e.Message))
}

func (c klogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level >= zapcore.DPanicLevel {
		return nil // the panic carries the message, and is reported once, by start
	}
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	kv := make([]any, 0, 2*len(enc.Fields))
	for k, v := range enc.Fields {
		kv = append(kv, k, v)
	}
	klog.ErrorS(errors.New(e.Message), "etcd reports an error", kv...)
	return nil
}

func (klogCore) Sync() error { return nil }
