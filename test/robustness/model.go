package robustness

import (
	"fmt"
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"
)

// Verb is what is done to the objects of a kind.
type Verb string

// The verbs of clients, and what the server does itself.
const (
	Create       Verb = "create"
	Update       Verb = "update"        // PUT of an object with the resourceVersion that it is based on, and a status to be dropped
	UpdateStatus Verb = "update status" // the same at /status, with a spec and labels to be dropped
	Delete       Verb = "delete"        // of the object with a UID
	Get          Verb = "get"           // without a resourceVersion: the most recent object
	List         Verb = "list"          // likewise, all objects of a kind
	Settle       Verb = "settle"        // the server renews a status because of something else
)

// Input is what is asked for.
type Input struct {
	Verb Verb
	Name string
	// Mark tells writes apart: create and update put it into the spec, update status into the status.
	Mark string
	// UID is of the object that is to be deleted, and Base the resource version of the one that is to be replaced.
	UID  string
	Base uint64
}

// Result is what a request has come to.
type Result string

// The results that a model knows. Any other one leaves a read without meaning, and a write unknown.
const (
	Done     Result = "done"
	NotFound Result = "not found"
	Exists   Result = "exists already"
	Conflict Result = "conflict"
)

// Object is what the model knows of an object.
type Object struct {
	UID        string
	Version    uint64 // the resourceVersion, a revision of etcd
	Generation int64
	Mark       string // of the spec
	Foreign    string // the mark in the status that another controller has written
}

// Output is the answer.
type Output struct {
	Result Result
	Object Object
	// Revision is that of the deletion, or of the list.
	Revision uint64
	Objects  map[string]Object
	// Unseen says that nobody has seen an answer: the log has the write, and no more is known of it.
	Unseen bool
}

// State is all objects of a kind. It is not written to.
type State struct {
	Revision uint64 // of the last write to any of them
	Objects  map[string]Object
}

// with returns the state after a write.
func (s State) with(name string, o Object) State {
	objects := maps.Clone(s.Objects)
	if objects == nil {
		objects = map[string]Object{}
	}
	objects[name] = o
	return State{Revision: o.Version, Objects: objects}
}

func (s State) without(name string, revision uint64) State {
	objects := maps.Clone(s.Objects)
	delete(objects, name)
	return State{Revision: revision, Objects: objects}
}

func (s State) equal(other State) bool {
	return s.Revision == other.Revision && maps.Equal(s.Objects, other.Objects)
}

// Step says whether an answer is right in a state, and returns the state after that. It is the contract of the API.
func Step(s State, in Input, out Output) (bool, State) {
	now, is := s.Objects[in.Name]
	switch in.Verb {
	case Get:
		if out.Result == NotFound {
			return !is, s
		}
		return is && out.Result == Done && out.Object == now, s
	case List:
		return out.Result == Done && out.Revision >= s.Revision && maps.Equal(out.Objects, s.Objects), s
	case Delete:
		return stepDelete(s, in, out)
	}
	// The rest writes. Resource versions rise with each write to any object of the kind.
	next := out.Object
	rises := out.Result == Done && next.Version > s.Revision
	switch {
	case out.Result == NotFound:
		return !is && in.Verb != Create, s
	case out.Result == Exists:
		return is && in.Verb == Create, s
	case out.Result == Conflict:
		return is && in.Verb != Create && in.Base != now.Version, s
	case !rises:
		return false, s
	case in.Verb == Create:
		// The status that a client sends is dropped.
		return !is && next.UID != "" && next == Object{next.UID, next.Version, 1, in.Mark, ""}, s.with(in.Name, next)
	case !is || in.Base != now.Version:
		return false, s
	}
	want := Object{now.UID, next.Version, now.Generation, now.Mark, now.Foreign}
	switch in.Verb {
	case Update: // leaves the status as it is
		want.Mark, want.Generation = in.Mark, now.Generation+1
	case UpdateStatus: // leaves the spec as it is
		want.Foreign = in.Mark
	case Settle: // leaves both
	}
	return next == want, s.with(in.Name, next)
}

func stepDelete(s State, in Input, out Output) (bool, State) {
	now, is := s.Objects[in.Name]
	switch out.Result {
	case NotFound:
		return !is, s
	case Conflict:
		return is && now.UID != in.UID, s
	case Done:
		return is && now.UID == in.UID && out.Revision > s.Revision, s.without(in.Name, out.Revision)
	}
	return false, s
}

// modelFrom is the model of one kind for porcupine. A kind isn't divided further: a list is of all of its objects.
func modelFrom(initial State) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, output any) (bool, any) {
			return Step(state.(State), input.(Input), output.(Output))
		},
		Equal:             func(a, b any) bool { return a.(State).equal(b.(State)) },
		DescribeOperation: func(input, output any) string { return describe(input.(Input), output.(Output)) },
		DescribeState:     func(state any) string { return state.(State).String() },
	}
}

func (s State) String() string {
	text := fmt.Sprintf("at %d:", s.Revision)
	for _, name := range slices.Sorted(maps.Keys(s.Objects)) {
		text += fmt.Sprintf(" %s=%s", name, s.Objects[name])
	}
	return text
}

func (o Object) String() string {
	return fmt.Sprintf("{%s at %d, generation %d, uid %.4s, status %q}", o.Mark, o.Version, o.Generation, o.UID, o.Foreign)
}

func describe(in Input, out Output) string {
	text := fmt.Sprintf("%s %s", in.Verb, in.Name)
	switch in.Verb {
	case Create:
		text += " " + in.Mark
	case Update, UpdateStatus:
		text += fmt.Sprintf(" %s on %d", in.Mark, in.Base)
	case Delete:
		text += fmt.Sprintf(" uid %.4s", in.UID)
	}
	if out.Unseen {
		text += " (no answer)"
	}
	switch {
	case out.Result != Done:
		return text + ": " + string(out.Result)
	case in.Verb == List:
		return text + ": " + State{out.Revision, out.Objects}.String()
	case in.Verb == Delete:
		return fmt.Sprintf("%s: at %d", text, out.Revision)
	}
	return text + ": " + out.Object.String()
}
