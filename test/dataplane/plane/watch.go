package plane

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
)

// watches are the resources of a type that are asked for by name, and shared by all who need them: route configurations and
// secrets, of which Envoy has one provider each.
type watches map[string]*watch

// watch is one of them, from when somebody needs it until nobody does.
type watch struct {
	version string
	message proto.Message // as it was accepted last; nil if it never was
	// settled says that nobody waits for it any longer: it came, or it won't.
	settled bool
	timer   *time.Timer // for the first time that it comes; nil if there is none
}

func (w *watch) accept(version string, m proto.Message) {
	w.version, w.message = version, m
	w.settle()
}

func (w *watch) settle() {
	w.settled = true
	w.stopTimer()
}

func (w *watch) stopTimer() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// ready says whether all of these are settled.
func (ws watches) ready(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return ws[name] == nil || !ws[name].settled })
}

// settleAll has nobody wait any longer.
func (ws watches) settleAll() {
	for _, w := range ws {
		w.settle()
	}
}

// want makes these the names that are watched. It returns those that nobody needs any more.
func (ws watches) want(names map[string]bool, timer func(name string, w *watch) *time.Timer) (dropped []string) {
	for name := range names {
		if ws[name] == nil {
			w := &watch{}
			w.timer = timer(name, w)
			ws[name] = w
		}
	}
	for name, w := range ws {
		if !names[name] {
			w.stopTimer()
			delete(ws, name)
			dropped = append(dropped, name)
		}
	}
	return dropped
}
