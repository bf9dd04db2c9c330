package features

import (
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gateway-apiserver/gateway-apiserver/test/script"
	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

type runKey struct{}

// run is what a script has running.
type run struct {
	server *standalone.Server // the last one that was started
	ends   []func()
}

// end ends what still runs, and says what is wrong with the server's log.
func (r *run) end() error {
	for _, end := range r.ends {
		end()
	}
	if r.server == nil {
		return nil
	}
	return r.server.Kill()
}

func running(ts *testscript.TestScript) *run { return ts.Value(runKey{}).(*run) }

func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || neg && args[0] != "logged" {
		ts.Fatalf("usage: server start [FLAG...] | stop | kill | [!] logged REGEXP")
	}
	r := running(ts)
	if args[0] == "start" {
		startServer(ts, r, args[1:])
		return
	}
	if r.server == nil {
		ts.Fatalf("no server was started")
	}
	switch args[0] {
	case "stop":
		ts.Check(r.server.Stop())
	case "kill":
		ts.Check(r.server.Kill())
	case "logged":
		want, err := regexp.Compile(args[1])
		ts.Check(err)
		logged := func() bool { return want.MatchString(r.server.Log()) }
		if neg && logged() || !neg && !script.Poll(logged) {
			ts.Fatalf("server logged %s: is %t\n%s", want, neg, r.server.Log())
		}
	default:
		ts.Fatalf("server %s: unknown", args[0])
	}
}

func startServer(ts *testscript.TestScript, r *run, flags []string) {
	if r.server != nil && r.server.Running() {
		ts.Fatalf("a server is running")
	}
	server, err := standalone.Start(ts.MkAbs("."), flags...)
	ts.Check(err)
	r.server = server
	ts.Setenv("API", server.API)
	ts.Setenv("XDS", server.XDS)
}
