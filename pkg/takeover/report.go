package takeover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// reporter tells the user what happens: a line for each phase, and one for each object that isn't simply moved.
type reporter struct {
	print func(line string)

	mu       sync.Mutex
	failures map[string]bool
	warnings map[string]*warned
}

// warned is a warning and whom it was about.
type warned struct {
	first   string
	objects map[string]bool
}

func newReporter(print func(line string)) *reporter {
	return &reporter{print: print, failures: map[string]bool{}, warnings: map[string]*warned{}}
}

// line prints a line.
func (r *reporter) line(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.print(fmt.Sprintf(format, args...))
}

// fail reports an object that can't be moved, once for each reason.
func (r *reporter) fail(title string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("%s: %v", title, err)
	if !r.failures[line] {
		r.failures[line] = true
		r.print(line)
	}
}

// done reports an object that isn't simply moved.
func (r *reporter) done(title string, v verdict, s situation) {
	switch v.action {
	case remove:
		r.line("%s: deleted, as on the other side", title)
	case replace:
		r.line("%s: replaced, as on the other side", title)
	case acknowledge:
		r.line("%s: left as it is", title)
	}
}

// warn keeps warnings for the end: many objects have the same ones.
func (r *reporter) warn(title string, texts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range texts {
		w := r.warnings[text]
		if w == nil {
			w = &warned{first: title, objects: map[string]bool{}}
			r.warnings[text] = w
		}
		w.objects[title] = true
	}
}

// printWarnings prints the warnings of the servers.
func (r *reporter) printWarnings() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range slices.Sorted(maps.Keys(r.warnings)) {
		w := r.warnings[text]
		others := ""
		if n := len(w.objects) - 1; n > 0 {
			others = fmt.Sprintf(" and %d others", n)
		}
		r.print(fmt.Sprintf("warning: %s%s: %s", w.first, others, text))
	}
	clear(r.warnings)
}

// summary says what a pass did.
func (p *pass) summary() string {
	var parts []string
	for _, a := range []struct {
		action action
		done   string
	}{{create, "created"}, {update, "updated"}, {replace, "replaced"}, {finish, "finished"}, {remove, "deleted"}, {acknowledge, "acknowledged"}, {conflict, "in conflict"}, {unfaithful, "not kept"}} {
		if n := p.counts[a.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a.done))
		}
	}
	if p.failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", p.failed))
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%d objects, all the same on both sides", p.objects)
	}
	return fmt.Sprintf("%d objects: %s", p.objects, strings.Join(parts, ", "))
}
