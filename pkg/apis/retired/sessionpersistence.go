package retired

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Where a kind has its session persistence.
const (
	inRules  = "spec.rules[].sessionPersistence"
	inPolicy = "spec.sessionPersistence"
)

// persistenceFields are the names of v1.7: cookie and header have the session's name, each in an object of its own.
func persistenceFields(where string) Fields {
	row := func(name, successor string, rewrite func(*rewriting, *Field, place)) *Field {
		return &Field{Name: where + "." + name, Successor: successor, history: sinceV17, marker: "sessionPersistence", rewrite: eachPersistence(where, rewrite)}
	}
	return Fields{
		row("cookie.path", "", keepCookiePath),
		row("cookie", "sessionName and cookieConfig of "+where, moveCookie),
		row("header", "sessionName of "+where, moveHeader),
	}
}

// idleTimeout is the name that v1.6 has not.
func idleTimeout(where string) *Field {
	return &Field{Name: where + ".idleTimeout", history: retiredIn16, marker: "idleTimeout", rewrite: eachPersistence(where, keepIdleTimeout)}
}

func eachPersistence(where string, rewrite func(*rewriting, *Field, place)) func(*rewriting, *Field) {
	if where == inPolicy {
		return func(r *rewriting, f *Field) {
			value, _ := lookup(r.doc, split(inPolicy)...)
			if object, ok := value.(map[string]any); ok {
				rewrite(r, f, place{object, inPolicy, r.form == MergePatch})
			}
		}
	}
	return func(r *rewriting, f *Field) {
		rules, _ := lookup(r.doc, "spec", "rules")
		for i, rule := range objectsIn(rules) {
			if object, ok := rule["sessionPersistence"].(map[string]any); ok {
				rewrite(r, f, place{object, fmt.Sprintf("spec.rules[%d].sessionPersistence", i), false})
			}
		}
	}
}

func keepIdleTimeout(r *rewriting, f *Field, p place) {
	r.keep(f, p, "idleTimeout")
}

func keepCookiePath(r *rewriting, f *Field, p place) {
	if cookie, ok := p.object["cookie"].(map[string]any); ok {
		r.keep(f, place{cookie, p.in("cookie"), p.partial}, "path")
	}
}

func moveCookie(r *rewriting, f *Field, p place) {
	cookie := r.takePersistence(f, p, "cookie", gatewayv1.CookieBasedSessionPersistence, "sessionName and cookieConfig", "sessionName", "cookieConfig")
	if cookie != nil {
		r.move(place{cookie, p.in("cookie"), p.partial}, "name", p, "sessionName")
		r.move(place{cookie, p.in("cookie"), p.partial}, "lifetimeType", p, "cookieConfig.lifetimeType")
		r.unknown(p.in("cookie"), cookie)
	}
}

func moveHeader(r *rewriting, f *Field, p place) {
	header := r.takePersistence(f, p, "header", gatewayv1.HeaderBasedSessionPersistence, "sessionName", "sessionName")
	if header != nil {
		r.move(place{header, p.in("header"), p.partial}, "name", p, "sessionName")
		r.unknown(p.in("header"), header)
	}
}

// takePersistence removes the object at key, which is for one type of session persistence and has become successors.
func (r *rewriting) takePersistence(f *Field, p place, key string, of gatewayv1.SessionPersistenceType, successor string, cleared ...string) map[string]any {
	value, found := r.take(p, key)
	if !found {
		return nil
	}
	if value == nil {
		for _, to := range cleared {
			r.clear(p, to)
		}
		return nil
	}
	r.use(f, p.in(key), successor+" of "+p.path)
	object, ok := value.(map[string]any)
	if !ok {
		r.refuse(p.in(key), "must be an object")
		return nil
	}
	said := p.object["type"]
	if said == nil && p.partial {
		return object // the stored one has a type
	}
	if said == nil {
		said = string(gatewayv1.CookieBasedSessionPersistence) // the default
	}
	if said != string(of) {
		r.refuse(p.in(key), "is for type %s only; type is %v", of, said)
	}
	return object
}
