package manifests

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"
)

// watcher tells when something in directories may have changed.
type watcher struct {
	dirs  []string
	files *fsnotify.Watcher // nil if the system gives none
	// changed holds a signal if something may have changed since it was last received from.
	changed chan struct{}
}

func newWatcher(dirs []string, logger klog.Logger) *watcher {
	w := &watcher{dirs: dirs, changed: make(chan struct{}, 1)}
	files, err := fsnotify.NewWatcher()
	if err != nil {
		logger.Error(err, "Manifests are read only from time to time", "interval", poll)
		return w
	}
	w.files = files
	go w.relay()
	return w
}

// relay makes signals of events, until close. It never waits for their receiver: fsnotify holds locks while it sends.
func (w *watcher) relay() {
	for {
		select {
		case event, ok := <-w.files.Events:
			if !ok {
				return
			}
			if !w.concerns(event) {
				continue
			}
		case _, ok := <-w.files.Errors: // events got lost
			if !ok {
				return
			}
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// concerns says whether an event may be about a file that is read. The name "..data" is that of the link by which the
// kubelet exchanges all files of a ConfigMap volume at once.
func (w *watcher) concerns(event fsnotify.Event) bool {
	name := filepath.Base(event.Name)
	return event.Op != fsnotify.Chmod && (isManifest(name) || strings.HasPrefix(name, "..") || slices.Contains(w.dirs, event.Name))
}

// renew watches the directories that are there under their names now: they may be others than before.
func (w *watcher) renew() {
	if w.files == nil {
		return
	}
	for _, dir := range w.dirs {
		_ = w.files.Add(dir) // what is wrong with a directory is reported when it is read
	}
}

func (w *watcher) close() {
	if w.files != nil {
		w.files.Close()
	}
}
