package hcm

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/accesslog"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
)

const managerFields = "envoy.extensions.filters.network.http_connection_manager.v3."

// fields are those that are executed. What is checked elsewhere (inline routes, access logs) isn't in the message when it is
// checked.
var fields = strict.Fields{
	managerFields + "HttpConnectionManager": "codec_type stat_prefix rds http_filters tracing common_http_protocol_options " +
		"http2_protocol_options server_header_transformation stream_idle_timeout request_headers_timeout use_remote_address generate_request_id " +
		"internal_address_config upgrade_configs normalize_path merge_slashes path_with_escaped_slashes_action",
	managerFields + "Rds":                                         "config_source route_config_name",
	managerFields + "HttpFilter":                                  "name typed_config disabled",
	managerFields + "HttpConnectionManager.UpgradeConfig":         "upgrade_type enabled",
	managerFields + "HttpConnectionManager.InternalAddressConfig": "", // empty: no address is internal
	managerFields + "HttpConnectionManager.Tracing":               "random_sampling spawn_upstream_span provider",

	"envoy.config.core.v3.ConfigSource":           "ads resource_api_version",
	"envoy.config.core.v3.AggregatedConfigSource": "",
	"envoy.config.core.v3.HttpProtocolOptions":    "idle_timeout headers_with_underscores_action",
	"envoy.config.core.v3.Http2ProtocolOptions":   "max_concurrent_streams initial_stream_window_size initial_connection_window_size",
	"envoy.config.trace.v3.Tracing.Http":          "name typed_config",
	"envoy.type.v3.Percent":                       "value",
}

// Envoy's defaults.
const (
	maxRequestHeaders        = 60 << 10 // max_request_headers_kb
	maxRequestHeadersCount   = 100      // max_headers_count
	defaultIdleTimeout       = time.Hour
	defaultStreamIdleTimeout = 5 * time.Minute
	defaultBufferLimit       = 1 << 20
	defaultServerName        = "envoy"
)

// settings is a compiled HttpConnectionManager.
type settings struct {
	http1 bool
	http2 *http.HTTP2Config // nil if it isn't spoken
	// h2BufferLimit bounds what is kept of a request's body in HTTP/2, where it is the window of the stream.
	h2BufferLimit int

	routes string        // the name of the table that comes by RDS
	table  *router.Table // that is inline; or nil
	chain

	underscores      corev3.HttpProtocolOptions_HeadersWithUnderscoresAction
	useRemoteAddress bool
	generateID       bool // x-request-id
	requestID        bool // each request gets one
	normalize        bool
	mergeSlashes     bool
	escapedSlashes   hcmv3.HttpConnectionManager_PathWithEscapedSlashesAction
	upgrades         map[string]bool // upgrade type, in lower case -> enabled

	idleTimeout       time.Duration // 0 is none, as for the others
	streamIdleTimeout time.Duration
	headersTimeout    time.Duration

	serverHeader hcmv3.HttpConnectionManager_ServerHeaderTransformation
	log          *accesslog.Logger
}

func newSettings(config *hcmv3.HttpConnectionManager) (*settings, error) {
	if err := config.ValidateAll(); err != nil {
		return nil, err
	}
	rest := proto.CloneOf(config)
	rest.AccessLog = nil
	if rest.GetRouteConfig() != nil {
		rest.RouteSpecifier = nil
	}
	if err := fields.Check(rest); err != nil {
		return nil, err
	}
	s := &settings{
		underscores:      config.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction(),
		useRemoteAddress: config.GetUseRemoteAddress().GetValue(),
		requestID:        config.GetGenerateRequestId() == nil || config.GetGenerateRequestId().GetValue(),
		generateID:       config.GetGenerateRequestId() == nil || config.GetGenerateRequestId().GetValue(),
		normalize:        config.GetNormalizePath().GetValue(),
		mergeSlashes:     config.GetMergeSlashes(),
		escapedSlashes:   config.GetPathWithEscapedSlashesAction(),
		serverHeader:     config.GetServerHeaderTransformation(),
		headersTimeout:   config.GetRequestHeadersTimeout().AsDuration(),

		idleTimeout: defaultIdleTimeout, streamIdleTimeout: defaultStreamIdleTimeout,
	}
	if d := config.GetCommonHttpProtocolOptions().GetIdleTimeout(); d != nil {
		s.idleTimeout = d.AsDuration()
	}
	if d := config.GetStreamIdleTimeout(); d != nil {
		s.streamIdleTimeout = d.AsDuration()
	}
	if err := errors.Join(s.setCodec(config), s.setRoutes(config), s.setUpgrades(config)); err != nil {
		return nil, err
	}
	var err error
	if s.chain, err = newChain(config.GetHttpFilters()); err != nil {
		return nil, fmt.Errorf("http_filters%w", err)
	}
	if s.log, err = accesslog.New(config.GetAccessLog()); err != nil {
		return nil, fmt.Errorf("access_log: %w", err)
	}
	return s, nil
}

func (s *settings) setCodec(config *hcmv3.HttpConnectionManager) error {
	switch config.GetCodecType() {
	case hcmv3.HttpConnectionManager_AUTO, hcmv3.HttpConnectionManager_HTTP1, hcmv3.HttpConnectionManager_HTTP2:
	default:
		return fmt.Errorf("codec_type: %s isn't executed", config.GetCodecType())
	}
	s.http1 = config.GetCodecType() != hcmv3.HttpConnectionManager_HTTP2
	if config.GetCodecType() == hcmv3.HttpConnectionManager_HTTP1 {
		return nil
	}
	options := config.GetHttp2ProtocolOptions()
	// Those that aren't set are Envoy's defaults as edge proxy, but for the number of streams, which is without a limit.
	stream := cmp.Or(options.GetInitialStreamWindowSize().GetValue(), 16<<20)
	s.h2BufferLimit = int(stream)
	s.http2 = &http.HTTP2Config{
		MaxConcurrentStreams:          int(cmp.Or(options.GetMaxConcurrentStreams().GetValue(), 1024)),
		MaxReceiveBufferPerStream:     int(stream),
		MaxReceiveBufferPerConnection: int(cmp.Or(options.GetInitialConnectionWindowSize().GetValue(), 24<<20)),
	}
	return nil
}

func (s *settings) setRoutes(config *hcmv3.HttpConnectionManager) error {
	switch specifier := config.GetRouteSpecifier().(type) {
	case *hcmv3.HttpConnectionManager_Rds:
		if specifier.Rds.GetConfigSource().GetAds() == nil {
			return errors.New("rds.config_source: only ads is executed")
		}
		if specifier.Rds.GetRouteConfigName() == "" {
			return errors.New("rds.route_config_name: required")
		}
		s.routes = specifier.Rds.GetRouteConfigName()
	case *hcmv3.HttpConnectionManager_RouteConfig:
		var err error
		if s.table, err = router.Compile(specifier.RouteConfig, ParseFilterConfig); err != nil {
			return fmt.Errorf("route_config.%w", err)
		}
	default:
		return fmt.Errorf("route_specifier: %T isn't executed", specifier)
	}
	return nil
}

func (s *settings) setUpgrades(config *hcmv3.HttpConnectionManager) error {
	s.upgrades = map[string]bool{}
	for i, u := range config.GetUpgradeConfigs() {
		name := strings.ToLower(u.GetUpgradeType())
		if name == "connect" || name == "connect-udp" || name == "" {
			return fmt.Errorf("upgrade_configs[%d].upgrade_type: %q isn't executed", i, name)
		}
		if _, known := s.upgrades[name]; known {
			return fmt.Errorf("upgrade_configs[%d]: multiple upgrade filters with name %s", i, name)
		}
		s.upgrades[name] = u.GetEnabled() == nil || u.GetEnabled().GetValue()
	}
	return nil
}
