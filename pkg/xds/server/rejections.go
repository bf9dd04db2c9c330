package server

import (
	"errors"
	"strconv"
	"strings"
	"sync"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
)

// rejected counts a rejection, and logs it if this node has not rejected this version before.
func (s *session) rejected(typeURL, nonce string, detail *rpcstatus.Status) {
	if typeURL == "" {
		typeURL = s.typeURL
	}
	last, ok := s.sent[typeURL]
	if detail == nil || !ok {
		return
	}
	version := last.version
	if nonce != last.nonce {
		version = "superseded" // another response was on its way
	}
	nacks.WithLabelValues(typeLabel(typeURL)).Inc()
	if s.server.rejections.seen(rejection{s.scope, s.id, typeURL}, version) {
		return
	}
	s.server.logger.Error(errors.New(printable(detail.GetMessage(), 4096)), "An xDS node rejected its configuration",
		"node", s.id, "scope", s.scope, "type", typeLabel(typeURL), "version", version)
}

// rejections remembers the version that a node rejected last, so that it is logged once, also if the node reconnects; and why a
// node was refused, under no scope and type.
type rejections struct {
	mu   sync.Mutex
	last map[rejection]string
}

type rejection struct{ scope, node, typeURL string }

// maxRejections bounds the memory for nodes that come and go. What is forgotten is logged again.
const maxRejections = 4096

// seen reports whether the last version that was rejected is this one, and remembers it.
func (r *rejections) seen(by rejection, version string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last[by]; ok && last == version {
		return true
	}
	if r.last == nil || len(r.last) >= maxRejections {
		r.last = map[rejection]string{}
	}
	r.last[by] = version
	return false
}

// printable makes what a client sent fit for a line of the log: cut to n bytes, and with line breaks, control characters
// and quotes escaped.
func printable(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "..."
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
