package plane

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// serveAdmin serves the administration interface until its socket is closed. It is on loopback, and has no authentication, as
// Envoy's. Of Envoy's endpoints, it has those by which a data plane is waited for and ended, and two to look into it, whose
// answers are JSON of their own form:
//
//	GET  /ready         LIVE when the first configuration is in use, 503 before and while it drains
//	GET  /clusters      the clusters, and what those wait for that aren't warm
//	GET  /config_dump   all resources, as they came, without private keys; and what was rejected last, by type
//	POST /quitquitquit  drains and ends
func (p *Plane) serveAdmin() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", p.serveReady)
	mux.HandleFunc("GET /clusters", p.serveDump(func() any { return p.dumpClusters(false) }))
	mux.HandleFunc("GET /config_dump", p.serveDump(func() any { return p.dump() }))
	quit := sync.OnceFunc(func() { close(p.quit) })
	mux.HandleFunc("POST /quitquitquit", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "OK")
		quit()
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	if err := server.Serve(p.admin); !errors.Is(err, net.ErrClosed) {
		p.log.Error("The administration interface failed", "error", err)
	}
}

func (p *Plane) closeAdmin() error {
	if p.admin == nil {
		return nil
	}
	return p.admin.Close()
}

func (p *Plane) serveReady(w http.ResponseWriter, _ *http.Request) {
	state := "DRAINING"
	p.call(func() {
		state = "INITIALIZING"
		if p.phase == live {
			state = "LIVE"
		}
	})
	if state != "LIVE" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, state)
}

// serveDump answers with what of returns in the goroutine that owns the configuration.
func (p *Plane) serveDump(of func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var data []byte
		err := errEnding
		p.call(func() { data, err = json.MarshalIndent(of(), "", "  ") })
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(data, '\n')) // a client that has gone away
	}
}
