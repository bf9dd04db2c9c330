package takeover

import (
	"slices"
	"strconv"
	"time"
)

// action is what to do about an object.
type action string

const (
	nothing action = ""
	create  action = "create"
	update  action = "update"
	replace action = "replace" // by one with another uid
	remove  action = "remove"
	// finish writes the rest of what a stopped run has begun to write.
	finish action = "finish"
	// acknowledge leaves the target as it is, and records that this is what it is to be.
	acknowledge action = "acknowledge"
	// conflict is that both sides have changed, and extra that only the target has an object, which was not moved there.
	conflict action = "conflict"
	extra    action = "extra"
	// unfaithful is that the target doesn't keep what was written there.
	unfaithful action = "unfaithful"
)

// verdict is what to do about an object, and why where that is worth a word.
type verdict struct {
	action action
	why    string
	fields []string // in which the two sides differ
	// keep are the parts of the target that an update leaves as they are: clients have changed them, and not on the source.
	keep changes
	// follow is what to do about a conflict if the source is right, where settle can't tell.
	follow action
}

// situation is what a decision follows from.
type situation struct {
	source, target *object // one of them may be nil
	// want is what the target is to be.
	want content
	// keepsIdentity says that the target is to have the source's identity.
	keepsIdentity bool
	// written says that this run has written the target before.
	written bool
	// mirrored says, of a target without a source, that the source was there once.
	mirrored bool
	// agreed says that the source was made as the target is, by a later move in the other direction.
	agreed bool
	// served is what the sources looked like when clients began to write to the targets. It is empty if they never did.
	served horizon
}

// before decides while clients write to the source: the target follows it, unless that would undo what clients wrote to
// the target when it was their side.
func before(s situation) verdict {
	v := follow(s)
	if v.action == nothing || v.action == extra || v.action == unfaithful || s.written {
		return v
	}
	if why := s.undoes(); why != "" {
		return verdict{action: conflict, why: why, fields: v.fields, follow: v.action}
	}
	return v
}

// undoes says what clients did to the target that would be lost if it followed the source, or "". A status doesn't count:
// controllers write it again.
func (s situation) undoes() string {
	switch {
	case s.target == nil && s.served.Revision == "", s.target == nil && s.served.changed(s.source) && s.served.born(s.source):
		return ""
	case s.target == nil:
		return "it was deleted in gateway-apiserver after the takeover"
	case s.agreed:
		return ""
	}
	r := s.target.record
	if r != nil && !r.Kept {
		if changed := r.target(s.target.content); !changed.metadata && !changed.spec {
			return ""
		}
	}
	switch {
	case s.source == nil:
		return "it was deleted from the CustomResourceDefinitions, and changed in gateway-apiserver after the takeover"
	case s.saysTheSame():
		return ""
	case r == nil:
		return "it was made on both sides"
	case r.UID != s.source.GetUID():
		return "it was made anew in the CustomResourceDefinitions, and changed in gateway-apiserver after the takeover"
	}
	if changed := r.source(s.source.content); changed.metadata || changed.spec {
		return "it was changed on both sides after the takeover"
	}
	return "it was changed in gateway-apiserver after the takeover, and not in the CustomResourceDefinitions"
}

// saysTheSame says whether users find the same on both sides.
func (s situation) saysTheSame() bool {
	want, have := s.want, s.target.content
	want.Status, have.Status, want.Managers, have.Managers = nil, nil, nil, nil
	return len(differences(want, have)) == 0 && len(lacking("", have.Body, want.Body)) == 0
}

// follow makes the target as the source is.
func follow(s situation) verdict {
	switch {
	case s.source == nil && s.mirrored:
		return verdict{action: remove}
	case s.source == nil:
		return verdict{action: extra}
	case s.target == nil:
		return verdict{action: create}
	}
	if s.isCurrent() && s.target.record.Kept {
		return verdict{}
	}
	fields := s.differences()
	switch {
	case s.keepsIdentity && s.source.GetUID() != s.target.GetUID(),
		s.keepsIdentity && s.source.GetGeneration() < s.target.GetGeneration(), // it can't be set back
		s.target.Deleting && !s.want.Deleting:
		return verdict{action: replace, fields: fields}
	case s.isCurrent() && len(fields) == 0:
		return verdict{}
	case s.isCurrent() && s.written:
		return verdict{action: unfaithful, fields: fields}
	}
	return verdict{action: update, fields: fields}
}

// horizon is what the sources of a lane looked like when they were last known to be mirrored.
type horizon struct {
	// Revision is that of the list which was compared.
	Revision string `json:"revision"`
	// Time is before that.
	Time time.Time `json:"time"`
}

// changed says whether an object was written after the horizon.
func (h horizon) changed(o *object) bool {
	at, err := strconv.ParseUint(h.Revision, 10, 64)
	version, err2 := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	return err != nil || err2 != nil || version > at
}

// born says whether an object was made after the horizon.
func (h horizon) born(o *object) bool {
	return !o.GetCreationTimestamp().Time.Before(h.Time.Truncate(time.Second))
}

// after decides when clients write to the target, and only what was written to the source before that has to be caught up.
func after(s situation, h horizon) verdict {
	switch {
	case s.source == nil:
		return s.afterDeletion()
	case s.target == nil:
		return s.afterCreation(h)
	}
	r := s.target.record
	fields := s.differences()
	switch {
	case r != nil && r.UID == s.source.GetUID() && !r.source(s.source.content).any():
		if s.target.isUnfinished() {
			return verdict{action: finish}
		}
		return verdict{}
	case r == nil && !h.changed(s.source):
		return verdict{} // clients have made another one
	case len(fields) == 0:
		return verdict{action: acknowledge}
	case r == nil:
		return verdict{action: conflict, why: "it was made on both sides", fields: fields}
	}
	keep := r.target(s.target.content)
	if r.UID != s.source.GetUID() {
		if keep.any() {
			return verdict{action: conflict, why: "it was made anew on the old side, and changed on the new one", fields: fields}
		}
		return verdict{action: replace, fields: fields}
	}
	changed := r.source(s.source.content)
	if changed.metadata && keep.metadata || changed.spec && keep.spec {
		return verdict{action: conflict, why: "it was changed on both sides", fields: fields}
	}
	// A status that was written on both sides is kept as it was written last.
	return verdict{action: update, fields: fields, keep: keep}
}

func (s situation) afterDeletion() verdict {
	r := s.target.record
	switch {
	case r == nil:
		return verdict{} // clients have made it
	case r.target(s.target.content).any():
		return verdict{action: conflict, why: "it was deleted on the old side, and changed on the new one"}
	}
	return verdict{action: remove}
}

func (s situation) afterCreation(h horizon) verdict {
	switch {
	case h.Revision == "":
		return verdict{action: create}
	case !h.changed(s.source):
		return verdict{} // clients have deleted it
	case h.born(s.source):
		return verdict{action: create}
	}
	return verdict{action: conflict, why: "it was changed on the old side, and deleted on the new one"}
}

// isCurrent says whether the target was made from the source as it is now, and not changed since.
func (s situation) isCurrent() bool {
	r := s.target.record
	return r != nil && r.UID == s.source.GetUID() && !r.source(s.source.content).any() && !r.target(s.target.content).any() && !s.target.isUnfinished()
}

func (s situation) differences() []string {
	fields := differences(s.want, s.target.content)
	if s.keepsIdentity {
		fields = slices.Concat(s.source.identity.differ(s.target.identity), fields)
	}
	return fields
}

// Conflict says which side is right about objects that both have changed.
type Conflict string

const (
	// Fail leaves both sides as they are.
	Fail Conflict = "fail"
	// UseCRDs and UseServer make the other side as this one is.
	UseCRDs   Conflict = "crds"
	UseServer Conflict = "server"
)

// settle turns a conflict into what the user wants of it.
func settle(s situation, v verdict, sourceWins bool) verdict {
	switch {
	case v.action != conflict:
		return v
	case !sourceWins && s.source != nil && s.target != nil && !(s.keepsIdentity && s.source.GetUID() != s.target.GetUID()):
		return verdict{action: acknowledge}
	case !sourceWins:
		return verdict{}
	case v.follow != nothing:
		return verdict{action: v.follow}
	case s.source == nil:
		return verdict{action: remove}
	case s.target == nil:
		return verdict{action: create}
	case s.keepsIdentity && s.source.GetUID() != s.target.GetUID():
		return verdict{action: replace}
	}
	return verdict{action: update}
}
