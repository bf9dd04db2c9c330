package cache

import (
	"math"
	"slices"
	"strings"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// maxPending bounds the responses of a type that a delta client may leave unanswered; more wait.
const maxPending = 16

// maxMessage bounds what is kept of the message of a client, in bytes.
const maxMessage = 4 << 10

// verdicts is what the client of a watch has said of what it was sent, and what follows from that.
type verdicts struct {
	// pending are the responses that it has said nothing about, the oldest first, and version that of the last that it has.
	pending []pending
	version string
	// rejected is what the client rejected of what is published or served instead, by name.
	rejected map[string]rejected
	// began is the revision of the first response. What was parked before it, the client hasn't got, except for the versions in
	// holds, by name. What was parked later it was sent before, except for the versions in lacks.
	began        int64
	holds, lacks map[string]string
	// again names resources that have to be sent once more: what is served instead of what was rejected, and what came in one
	// response with it, of which it is not known whether the client took it.
	again map[string]struct{}
}

// pending is a response that the client has not acknowledged.
type pending struct {
	delta   *DeltaResponse                 // or state
	state   *discoveryv3.DiscoveryResponse // which has its nonce when it has been sent
	content *difference                    // that it tells the client
	version string
	at      int64 // revision at which it was sent
}

func (p *pending) nonce() string {
	if p.delta != nil {
		return p.delta.nonce
	}
	return p.state.GetNonce()
}

// rejected are the versions of a resource that a client rejected, of the one that is published and the one that is good.
type rejected struct {
	versions []string
	message  string // the last one
}

// isVersion reports whether a request with a nonce names the version of that response, which acknowledges it. A request that
// names another one changes the subscription only, before the client has looked at the response.
func (v *verdicts) isVersion(nonce, version string) bool {
	return slices.ContainsFunc(v.pending, func(p pending) bool { return p.nonce() == nonce && p.version == version })
}

// awaits notes a response that was sent, which the client has to acknowledge.
func (w *watch) awaits(p pending) {
	w.open = false
	if len(w.pending) == maxPending { // a state-of-the-world client that asks again and again
		w.pending = slices.Delete(w.pending, 0, 1)
	}
	w.pending = append(w.pending, p)
}

// hearsState takes the answer that is in a request of the state-of-the-world protocol, if there is one.
func (s *Stream) hearsState(w *watch, req *discoveryv3.DiscoveryRequest) {
	if req.GetErrorDetail() != nil || w.isVersion(req.GetResponseNonce(), req.GetVersionInfo()) {
		s.hears(w, req.GetResponseNonce(), req.GetErrorDetail())
	}
}

// hears takes the answer of the client to the response with a nonce, once. What was sent before that is not waited for any more.
func (s *Stream) hears(w *watch, nonce string, detail *status.Status) {
	i := slices.IndexFunc(w.pending, func(p pending) bool { return nonce != "" && p.nonce() == nonce })
	if i < 0 {
		return
	}
	if overtaken := w.state != nil && i+1 < len(w.pending); overtaken && detail != nil && (w.kind.full || w.sub.IsWildcard()) {
		return // the next one lists what is in this one again, so it is rejected as well, unless there is something else in it instead
	}
	has, answers := w.hasUntil(), answered(w.pending[:i+1])
	if w.pending = slices.Delete(w.pending, 0, i+1); len(w.pending) == 0 {
		w.pending = nil
	}
	if s.observes { // it serves nothing, so its word makes nothing good or bad
		w.version = answers[0].version
		return
	}
	if detail != nil {
		w.usesFrom = min(w.usesFrom, has) // it keeps what it has
		s.rejects(w, news(answers), detail.GetMessage())
		return
	}
	w.version = answers[0].version
	for _, p := range answers {
		if !p.content.acked {
			p.content.acked = true
			for _, r := range p.content.set {
				s.scope.acknowledge(r, p.at)
			}
		}
	}
}

// answered returns what the answer to the last of some responses, which comes first, is about: that one, and of what was in those
// before it, to which there was no answer, what it lists again. What the client thinks of the rest isn't known.
func answered(responses []pending) []pending {
	last := responses[len(responses)-1]
	out := []pending{last}
	if last.state == nil || len(responses) == 1 {
		return out
	}
	listed := map[*anypb.Any]struct{}{}
	for _, a := range last.state.GetResources() {
		listed[a] = struct{}{}
	}
	for _, r := range last.content.set {
		delete(listed, r.Any())
	}
	for _, p := range slices.Backward(responses[:len(responses)-1]) {
		d := &difference{}
		for _, r := range p.content.set {
			if _, ok := listed[r.Any()]; ok {
				delete(listed, r.Any())
				d.set = append(d.set, r)
			}
		}
		p.content = d
		out = append(out, p)
	}
	return out
}

// news returns what is in some responses, sorted by name.
func news(responses []pending) []*Resource {
	if len(responses) == 1 {
		return responses[0].content.set
	}
	var all []*Resource
	for _, p := range responses {
		all = append(all, p.content.set...)
	}
	slices.SortFunc(all, byName)
	return all
}

// rejects takes a rejection of some resources.
func (s *Stream) rejects(w *watch, set []*Resource, message string) {
	message = cut(message)
	blamed, spared := blame(message, set)
	for _, r := range blamed {
		s.reject(w, r, message)
	}
	for _, r := range spared {
		w.resend([]string{r.Name()})
	}
}

// reject takes the rejection of a resource: what is published, or what is served instead, or neither by now.
func (s *Stream) reject(w *watch, r *Resource, message string) {
	name := r.Name()
	e, seen := w.view.entry(name)
	if seen && e.is(r.Version()) {
		w.noteRejected(name, r.Version(), message)
	}
	in := s.scope.publisher(r)
	if in == nil {
		s.scope.rejectLate(r)
		if !s.keeps(w, r) && e.is(r.Version()) { // it is gone, but not for this client
			w.resend([]string{name})
		}
		return
	}
	rejection := &Rejection{Scope: in.name, Name: Name{r.TypeURL(), name}, Version: r.Version(), Message: message, Node: s.node}
	in.park(rejection.Name, replacement{}, rejection)
	t := in.table(r.TypeURL())
	rejection.Good = t.entries[name].good
	in.raiseRejected(*rejection)
	if !s.keeps(w, r) {
		w.resend([]string{name})
		s.replaces(w, []*Resource{rejection.Good})
	}
}

// keeps reports whether there is nothing to send instead of a resource that was rejected, so that the client keeps what it has.
func (s *Stream) keeps(w *watch, rejected *Resource) bool {
	if w.at(rejected.Name(), max(min(s.heldBack(w), s.unused(w)), w.removed)) != nil {
		return false
	}
	if w.state == nil {
		return true
	}
	w.sum -= rejected.sum
	if w.kept == nil {
		w.kept = map[string]struct{}{}
	}
	w.kept[rejected.Name()] = struct{}{}
	return true
}

// noteRejected remembers that the client rejected a version.
func (v *verdicts) noteRejected(name, version, message string) {
	if v.rejected == nil {
		v.rejected = map[string]rejected{}
	}
	r := v.rejected[name]
	if !slices.Contains(r.versions, version) {
		r.versions = append(r.versions, version)
	}
	r.message = message
	v.rejected[name] = r
}

func (v *verdicts) hasRejected(name, version string) bool {
	r, ok := v.rejected[name]
	return ok && slices.Contains(r.versions, version)
}

// resend notes names that are to be answered once more.
func (v *verdicts) resend(names []string) {
	if v.again == nil && len(names) > 0 {
		v.again = map[string]struct{}{}
	}
	for _, name := range names {
		v.again[name] = struct{}{}
	}
}

// lack notes that the client has not been sent the version of a resource that is parked.
func (v *verdicts) lack(r *Resource) {
	if v.lacks == nil {
		v.lacks = map[string]string{}
	}
	v.lacks[r.Name()] = r.Version()
	delete(v.holds, r.Name())
}

// hold notes that the client says it has the version of a resource that is parked.
func (v *verdicts) hold(r *Resource) {
	if v.holds == nil {
		v.holds = map[string]string{}
	}
	v.holds[r.Name()] = r.Version()
}

// has reports whether the client has been sent the resource of an entry that is withheld, and not rejected it.
func (w *watch) has(name string, e entry) bool {
	version := e.res.Version()
	switch {
	case w.hasRejected(name, version):
		return false
	case w.holds[name] == version:
		return true
	}
	return e.setAt <= w.set && e.parked.at > w.began && w.lacks[name] != version
}

// see returns what the client is served of an entry, or nil: neither what is parked, unless it has that, nor what it rejected.
func (w *watch) see(name string, e entry) *Resource {
	r := e.res
	if e.withheld() && !w.has(name, e) || e.good != nil && w.hasRejected(name, r.Version()) {
		r = e.good
	}
	if r != nil && w.hasRejected(name, r.Version()) {
		return nil
	}
	return r
}

// admit leaves out of a difference what the client rejected.
func (v *verdicts) admit(d *difference) *difference {
	bad := func(r *Resource) bool { return v.hasRejected(r.Name(), r.Version()) }
	if len(v.rejected) == 0 || !slices.ContainsFunc(d.set, bad) {
		return d
	}
	return &difference{set: slices.DeleteFunc(slices.Clone(d.set), bad), removed: d.removed, parked: d.parked}
}

// at returns what the client is served of a name, as if what was removed after a limit were still there; or nil.
func (w *watch) at(name string, limit int64) *Resource {
	e, ok := w.view.entry(name)
	if !ok || e.removed && e.rev <= limit {
		return nil
	}
	return w.see(name, e)
}

// short reports whether the client lacks something that it subscribes to, because it is parked.
func (w *watch) short() bool {
	for name, e := range w.view.parked() {
		if e.withheld() && subscribed(w.sub, name) && !w.has(name, e) {
			return true
		}
	}
	return false
}

// behind reports whether the client keeps something older than what is published and not removed, because that is parked or the
// client rejected it, and the revision after which nothing may be removed that is used by what it is served instead.
func (w *watch) behind() (from int64, is bool) {
	from = math.MaxInt64
	if !w.view.anyParked() && len(w.rejected) == 0 {
		return from, false
	}
	for name, e := range w.view.parked() {
		if e.withheld() && subscribed(w.sub, name) && !w.has(name, e) {
			is, from = true, min(from, e.goodUses())
		}
	}
	for name, r := range w.rejected {
		is = is || w.rejects(name, r)
	}
	return from, is
}

// tidy forgets what was said of versions that are not published any more.
func (w *watch) tidy() {
	if len(w.rejected)+len(w.holds)+len(w.lacks) == 0 {
		return
	}
	for name, r := range w.rejected {
		e, ok := w.view.entry(name)
		if !ok {
			delete(w.rejected, name)
			continue
		}
		r.versions = slices.DeleteFunc(r.versions, func(version string) bool { return !e.is(version) })
		if w.rejected[name] = r; len(r.versions) == 0 {
			delete(w.rejected, name)
		}
	}
	for _, versions := range []map[string]string{w.holds, w.lacks} {
		for name, version := range versions {
			e, ok := w.view.entry(name)
			_, again := w.again[name] // it is on its way, and may be parked once more before it is sent
			if !ok || e.res.Version() != version || !e.withheld() && !again || !subscribed(w.sub, name) {
				delete(versions, name)
			}
		}
	}
}

// rejects reports whether the client rejected something that is published, or what is served to it instead.
func (w *watch) rejects(name string, r rejected) bool {
	e, ok := w.view.entry(name)
	if !ok || e.removed || !subscribed(w.sub, name) {
		return false
	}
	return slices.Contains(r.versions, e.res.Version()) ||
		e.withheld() && !w.has(name, e) && e.good != nil && slices.Contains(r.versions, e.good.Version())
}

// cut shortens a message from a client.
func cut(message string) string {
	if len(message) > maxMessage {
		message = message[:maxMessage]
	}
	return strings.ToValidUTF8(message, "\uFFFD")
}
