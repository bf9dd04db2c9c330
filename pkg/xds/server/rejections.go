package server

import (
	"errors"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/time/rate"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"k8s.io/utils/lru"
)

// tally counts what clients do, so that the same isn't logged each time: a fleet that rejects a version does so ten thousand times.
type tally struct {
	mu     sync.Mutex
	counts *lru.Cache
	lines  *rate.Limiter
}

const (
	// maxCounts bounds what a tally remembers. What it has forgotten is counted from the beginning.
	maxCounts = 4096
	// maxRefusals is how many refusals are logged a second, after a burst of ten times as many. What a client says of itself is up to
	// the client, so each refusal can be another one.
	maxRefusals = 5
)

// newTally returns one that has no more than so many lines written a second.
func newTally(lines rate.Limit) *tally {
	return &tally{counts: lru.New(maxCounts), lines: rate.NewLimiter(lines, 10*maxRefusals)}
}

// add counts one more of something, and says whether to log it: the first, the tenth, the hundredth and so on.
func (t *tally) add(what any) (n int, log bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.counts.Get(what); ok {
		n = last.(int)
	}
	n++
	t.counts.Add(what, n)
	return n, powerOfTen(n) && t.lines.Allow()
}

func powerOfTen(n int) bool {
	for n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// rejection is what nodes rejected: a version, or one that another was about to replace.
type rejection struct {
	scope, typeURL, version string
	superseded              bool
}

// rejected counts a rejection, and logs the first of a version, and then some.
func (s *session) rejected(typeURL, nonce string, detail *rpcstatus.Status) {
	if typeURL == "" {
		typeURL = s.typeURL
	}
	last := s.lastSent(typeURL)
	if detail == nil || last < 0 {
		return
	}
	r := rejection{s.scope, typeURL, s.sent[last].version, nonce != s.sent[last].nonce}
	s.server.counters[typeURL].nacks.Inc()
	n, log := s.server.rejections.add(r)
	if !log {
		return
	}
	version := r.version
	if r.superseded {
		version = "superseded" // another response was on its way
	}
	s.server.logger.Error(errors.New(Printable(detail.GetMessage(), 4096)), "An xDS node rejected its configuration",
		"node", s.id, "identity", Printable(s.proof.name(), 512), "scope", s.scope, "type", typeLabel(typeURL), "version", version,
		"rejections", n)
}

// refusal is whom the server refused, and why.
type refusal struct{ who, reason string }

// refuse counts that a client was refused, and logs it, but not each time.
func (s *Server) refuse(what, who string, err error) {
	refused.WithLabelValues(what).Inc()
	r := refusal{who, Printable(status.Convert(err).Message(), 1024)}
	if n, log := s.refusals.add(r); log {
		s.logger.Info("Refused an xDS client", "client", who, "reason", r.reason, "refusals", n)
	}
}

// unpublished is a scope that nodes have in vain.
type unpublished struct{ scope string }

// notServed is a type that nodes ask for in vain.
type notServed struct{ typeURL string }

// serves says whether requests of a type are answered, and logs one that isn't. They are left alone, as the protocol has it: clients
// may ask for more types than a server knows.
func (s *session) serves(typeURL string) bool {
	if _, ok := s.server.counters[typeURL]; ok {
		return true
	}
	typeURL = Printable(typeURL, 256)
	if n, log := s.server.refusals.add(notServed{typeURL}); log {
		s.server.logger.Info("An xDS node asks for resources of a type that isn't served, and gets no answer", "type", typeURL, "requests", n)
	}
	return false
}

// Printable makes what a client sent fit for a line of the log, a terminal or a field: cut to n bytes, and with line breaks, control
// characters and what is no UTF-8 escaped.
func Printable(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "..."
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
