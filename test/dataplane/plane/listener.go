package plane

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/listener"
)

// listeners are those of the bootstrap and those that LDS delivered: the active ones, which accept connections, and those that
// are to replace them or to be added when they are warm.
type listeners struct {
	set             *listener.Set
	active, warming map[string]*served
	draining        []*served // whose connections may still need routes and secrets
	answered        bool      // by the server, or given up
}

// served is one version of a listener.
type served struct {
	config   *listenerv3.Listener
	version  string
	static   bool
	listener *listener.Listener
}

// each calls f with every listener, the draining ones included.
func (ls *listeners) each(f func(*served)) {
	for _, set := range []map[string]*served{ls.active, ls.warming} {
		for _, l := range set {
			f(l)
		}
	}
	for _, l := range ls.draining {
		f(l)
	}
}

// expectListeners goes on without listeners if they don't come in time.
func (p *Plane) expectListeners() {
	p.after(p.config.ListenersTimeout, func() {
		if !p.listeners.answered {
			p.log.Warn("Listeners did not come in time", "timeout", p.config.ListenersTimeout)
			p.listeners.answered = true
			p.advance()
		}
	})
}

// setListeners applies a response of LDS: first what is removed, so that its addresses are free for what is added. What is bad in
// it doesn't keep the rest from being applied (LdsApiImpl).
func (p *Plane) setListeners(u ads.Update) error {
	for _, name := range u.Removed {
		p.removeListener(name)
	}
	var problems []string
	for _, r := range u.Set {
		config := r.Message.(*listenerv3.Listener)
		err := fmt.Errorf("is a listener of the name %q", config.GetName())
		if config.GetName() == r.Name {
			err = p.addListener(config, r.Version)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", r.Name, err))
		}
	}
	p.listeners.answered = true
	if len(problems) > 0 {
		return fmt.Errorf("error adding/updating listener(s) %s", strings.Join(problems, "\n"))
	}
	return nil
}

// addListener begins to warm a new or changed listener. One that is as it was is left alone, and one that is again as it is
// served is no longer warmed.
func (p *Plane) addListener(config *listenerv3.Listener, version string) error {
	name := config.GetName()
	active, warming := p.listeners.active[name], p.listeners.warming[name]
	switch {
	case active != nil && active.static, warming != nil && warming.static:
		return errors.New("a static listener has that name, which can't be changed")
	case warming != nil && proto.Equal(warming.config, config):
		warming.version = version
		return nil
	case active != nil && proto.Equal(active.config, config):
		active.version = version
		if warming != nil {
			delete(p.listeners.warming, name)
			warming.listener.Discard()
		}
		return nil
	}
	if err := check(config); err != nil {
		return err
	}
	l, err := p.listeners.set.Prepare(config)
	if err != nil {
		return err
	}
	p.listeners.warming[name] = &served{config: config, version: version, listener: l}
	return nil
}

// warm says whether all that a listener needs has come.
func (p *Plane) warm(l *served) bool {
	return p.routes.ready(l.listener.RouteNames()) && p.secrets.ready(l.listener.SecretNames())
}

// warmListeners has listeners that are warm accept connections.
func (p *Plane) warmListeners() {
	for name, l := range p.listeners.warming {
		if p.warm(l) {
			delete(p.listeners.warming, name)
			p.startListener(name, l)
		}
	}
}

// startListener has a listener accept connections, in place of the one of its name that did. If that fails, neither does
// (ListenerManagerImpl::onListenerWarmed).
func (p *Plane) startListener(name string, l *served) {
	if err := l.listener.Start(); err != nil {
		p.log.Error("A listener can't be started", "listener", name, "error", err)
		p.removeListener(name)
		return
	}
	if replaced := p.listeners.active[name]; replaced != nil {
		p.retire(replaced)
	}
	p.listeners.active[name] = l
	p.log.Info("Listening", "listener", name, "addresses", l.listener.Addrs(), "version", l.version)
}

func (p *Plane) removeListener(name string) {
	active, warming := p.listeners.active[name], p.listeners.warming[name]
	if active != nil && active.static || warming != nil && warming.static {
		return
	}
	p.listeners.set.Remove(name)
	delete(p.listeners.warming, name)
	delete(p.listeners.active, name)
	if active != nil {
		p.retire(active)
		p.log.Info("Stopped listening", "listener", name)
	}
}

// retire keeps the routes and secrets of a listener for as long as its connections may go on.
func (p *Plane) retire(l *served) {
	p.listeners.draining = append(p.listeners.draining, l)
	time.AfterFunc(p.options.DrainTime, func() {
		p.call(func() {
			p.listeners.draining = slices.DeleteFunc(p.listeners.draining, func(d *served) bool { return d == l })
			p.advance()
		})
	})
}
