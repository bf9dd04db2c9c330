package manifests

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

const (
	// settle is how long the files have to be quiet before they are read.
	settle = 100 * time.Millisecond
	// poll is how often they are read if nothing happens: some file systems don't tell of changes.
	poll = 30 * time.Second
)

// Follower applies what some directories declare. All its state belongs to the goroutine of Run.
type Follower struct {
	// Grace is how long an object has to be undeclared before it is deleted, while files are being rewritten: 2 s by
	// default. It may be set before Run.
	Grace time.Duration

	dirs      []string // absolute
	dynamic   dynamic.Interface
	metadata  metadata.Interface
	discovery discovery.DiscoveryInterface
	mapper    meta.RESTMapper // nil is to be asked for
	synced    chan struct{}

	applied       map[key]digest
	refused       map[digest]problem // those that last, of the documents at the last pass
	made          map[key]ownership
	inventoried   bool            // made has what earlier runs made
	occupied      map[string]bool // directories that have had a file in this run
	orphanedSince map[key]time.Time
	reported      map[place]string
}

// New returns a Follower of the directories, which needn't exist yet. The client that config describes should be allowed
// to read, apply and delete everything that they may declare.
func New(dirs []string, config *rest.Config) (*Follower, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the server protects itself
	rest.AddUserAgent(config, FieldManager)
	f := &Follower{
		Grace: 2 * time.Second, synced: make(chan struct{}),
		applied: map[key]digest{}, made: map[key]ownership{}, occupied: map[string]bool{}, reported: map[place]string{},
	}
	for _, dir := range dirs {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(f.dirs, absolute) {
			f.dirs = append(f.dirs, absolute)
		}
	}
	var err error
	if f.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if f.metadata, err = metadata.NewForConfig(config); err != nil {
		return nil, err
	}
	if f.discovery, err = discovery.NewDiscoveryClientForConfig(config); err != nil {
		return nil, err
	}
	return f, nil
}

// Synced is closed when every document that was there at the start has been applied or refused.
func (f *Follower) Synced() <-chan struct{} { return f.synced }

// Run applies everything, then follows the directories until ctx ends. It waits for the server if it isn't there. What
// is wrong with files and documents is logged, once, by the logger in ctx.
func (f *Follower) Run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	files := newWatcher(f.dirs, logger)
	defer files.close()
	backoff := newBackoff()
	var waitingFor string // what was logged of it
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		// The end; a change of the files, which are then given time to settle; or the time of the next pass, be it because
		// they settled, for a retry, for a deletion, or to look for changes that nothing told of.
		select {
		case <-ctx.Done():
			return
		case <-files.changed:
			backoff = newBackoff()
			next.Reset(settle)
		case now := <-next.C:
			files.renew()
			after, err := f.pass(ctx, now)
			switch {
			case ctx.Err() != nil:
				return
			case err == nil:
				backoff, waitingFor = newBackoff(), ""
			default:
				after = backoff.Step()
				if !errors.Is(err, errRetry) && waitingFor != err.Error() {
					waitingFor = err.Error()
					logger.Info("Manifests wait for the API server", "reason", waitingFor)
				}
			}
			next.Reset(after)
		}
	}
}

func newBackoff() wait.Backoff {
	return wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 10, Cap: time.Minute}
}

// errRetry says that something failed that may go well without a change of the files.
var errRetry = errors.New("some documents could not be applied yet")

// pass brings the server to what the files say now, and returns in what time to do so again, if nothing happens before.
// An error asks for an early retry.
func (f *Follower) pass(ctx context.Context, now time.Time) (time.Duration, error) {
	t := read(f.dirs)
	for _, dir := range f.dirs {
		unread := slices.ContainsFunc(t.problems, func(p problem) bool { return p.File == dir })
		if !unread && !slices.Contains(t.vacant, dir) {
			f.occupied[dir] = true
		}
	}
	applied, failed, err := f.applyAll(ctx, t.documents)
	if err != nil {
		return 0, err
	}
	problems := append(t.problems, failed...)
	defer f.markSynced()
	after := poll
	if len(problems) == 0 {
		var undeleted []problem
		undeleted, after, err = f.prune(ctx, t, now)
		if err != nil {
			return 0, err
		}
		problems = undeleted
	} else {
		f.orphanedSince = nil // whatever is undeclared now, the problems may be the reason
	}
	f.report(ctx, problems)
	if applied > 0 {
		klog.FromContext(ctx).Info("Applied manifests", "applied", applied, "documents", len(t.documents), "problems", len(problems))
	}
	if slices.ContainsFunc(problems, func(p problem) bool { return !p.lasting }) {
		f.mapper = nil // a kind may be known by then
		return 0, errRetry
	}
	return after, nil
}

// prune forgets what is not declared any more and deletes what of it is due. Every document must have been applied.
func (f *Follower) prune(ctx context.Context, t tree, now time.Time) ([]problem, time.Duration, error) {
	if err := f.inventory(ctx); err != nil {
		return nil, 0, err
	}
	declared := map[key]bool{}
	for _, d := range t.documents {
		declared[d.key()] = true
	}
	for id := range f.applied {
		if !declared[id] {
			delete(f.applied, id) // to be applied again should it come back
		}
	}
	orphans, kept := f.orphans(t, declared)
	due, next := f.due(orphans, now)
	undeleted, err := f.deleteAll(ctx, due)
	if next == 0 || next > poll {
		next = poll
	}
	return append(kept, undeleted...), next, err
}

func (f *Follower) markSynced() {
	select {
	case <-f.synced:
	default:
		close(f.synced)
	}
}

// report logs the problems that were not there, or were others, at the last pass.
func (f *Follower) report(ctx context.Context, problems []problem) {
	before := f.reported
	f.reported = map[place]string{}
	for _, p := range problems {
		message := strings.Join(strings.Fields(p.err.Error()), " ") // in one line
		f.reported[p.place] += message
		if strings.Contains(before[p.place], message) {
			continue
		}
		var values []any
		for _, v := range []struct {
			name  string
			value any
			known bool
		}{
			{"file", p.File, true}, {"document", p.Number, p.Number > 0}, {"line", p.Line, p.Line > 0},
			{"object", p.object, p.object != ""}, {"field", p.field, p.field != ""},
		} {
			if v.known {
				values = append(values, v.name, v.value)
			}
		}
		klog.FromContext(ctx).Error(errors.New(message), cmp.Or(p.headline, "Manifest not applied"), values...)
	}
}
