package accesslog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	fileaccesslogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
)

// Entry is what is known of a request, connection or UDP session when it has ended. What is empty is logged as "-", and as null
// in JSON; numbers are logged as 0.
type Entry struct {
	Start    time.Time
	Duration time.Duration // to the last byte sent downstream

	// Of a request, as Envoy has it when it has ended: with what filters and the route have done to it. Empty for a connection
	// or a UDP session.
	Method, Scheme, Authority, Path string
	Protocol                        string // "HTTP/1.1", "HTTP/2"
	RequestHeader                   http.Header

	Status         int         // 0 if no response was sent
	StatusDetails  string      // as "via_upstream" (RESPONSE_CODE_DETAILS)
	ResponseHeader http.Header // as it was sent
	Trailer        http.Header // of the response

	RouteName     string
	ResponseFlags string // as "UH" or "UF,URX"
	ServerName    string // that the client asked for by TLS (SNI)

	UpstreamCluster string
	Attempts        int    // tries of the request, or of connecting
	FailureReason   string // UPSTREAM_TRANSPORT_FAILURE_REASON

	BytesReceived, BytesSent int64 // from and to the client: of bodies, of streams or of datagrams

	Downstream, Upstream Peer
}

// Peer is the two ends of a connection.
type Peer struct {
	Local, Remote netip.AddrPort
}

// Logger writes entries to files. It may be used by many goroutines at once.
type Logger struct {
	sinks []sink
}

type sink struct {
	io.Writer
	path   string
	format format
}

// executed are the fields that this package executes. The name of an access log is for nothing.
var executed = strict.Fields{
	"envoy.config.accesslog.v3.AccessLog":                   "name typed_config",
	"envoy.extensions.access_loggers.file.v3.FileAccessLog": "path log_format",
	"envoy.config.core.v3.SubstitutionFormatString":         "text_format_source json_format",
	"envoy.config.core.v3.DataSource":                       "inline_string",
}

// New returns a logger for the access_log of an HTTP connection manager or a proxy, and opens its files. Errors name what is
// invalid or isn't executed. Without configurations, the logger does nothing.
func New(configs []*accesslogv3.AccessLog) (*Logger, error) {
	l := &Logger{}
	for i, config := range configs {
		if err := l.add(config); err != nil {
			return nil, errors.Join(fmt.Errorf("[%d].%w", i, err), l.Close())
		}
	}
	return l, nil
}

func (l *Logger) add(config *accesslogv3.AccessLog) error {
	if err := executed.Check(config); err != nil {
		return err
	}
	file := &fileaccesslogv3.FileAccessLog{}
	if err := config.GetTypedConfig().UnmarshalTo(file); err != nil {
		return fmt.Errorf("typed_config: %w", err)
	}
	if err := errors.Join(file.ValidateAll(), executed.Check(file)); err != nil {
		return fmt.Errorf("typed_config: %w", err)
	}
	format, err := newFormat(file.GetLogFormat())
	if err != nil {
		return fmt.Errorf("typed_config.log_format.%w", err)
	}
	out, err := open(file.GetPath())
	if err != nil {
		return fmt.Errorf("typed_config.path: %w", err)
	}
	l.sinks = append(l.sinks, sink{Writer: out, path: file.GetPath(), format: format})
	return nil
}

// open opens a file to append to; /dev/stdout and /dev/stderr are the process's own, whatever they are.
func open(path string) (io.Writer, error) {
	switch path {
	case "/dev/stdout":
		return os.Stdout, nil
	case "/dev/stderr":
		return os.Stderr, nil
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
}

// Log writes a line to each file.
func (l *Logger) Log(e Entry) {
	for _, s := range l.sinks {
		if _, err := s.Write(s.format.line(&e)); err != nil {
			slog.Error("Writing the access log failed", "path", s.path, "err", err)
		}
	}
}

// Close closes the files. Nothing may be logged any more.
func (l *Logger) Close() error {
	var errs []error
	for _, s := range l.sinks {
		if file, ok := s.Writer.(*os.File); ok && file != os.Stdout && file != os.Stderr {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}
