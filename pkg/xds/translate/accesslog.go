package translate

import (
	"cmp"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	fileaccesslogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/types/known/structpb"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// accessLogs returns how what the listeners of a fleet have served is logged; empty if it isn't. A request is logged when it has
// been answered, a connection or a UDP session when it has ended.
func accessLogs(fleet *graph.EnvoyFleetFacts) []*accesslogv3.AccessLog {
	if fleet == nil || fleet.Object.Spec.AccessLog == nil {
		return nil
	}
	spec := fleet.Object.Spec.AccessLog
	file := &fileaccesslogv3.FileAccessLog{Path: cmp.Or(spec.Path, "/dev/stdout")}
	if format := accessLogFormat(spec); format != nil {
		file.AccessLogFormat = &fileaccesslogv3.FileAccessLog_LogFormat{LogFormat: format}
	}
	return []*accesslogv3.AccessLog{{
		Name:       "envoy.access_loggers.file",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: packed(file)},
	}}
}

// accessLogFormat returns the format of a line, or nil for Envoy's default.
func accessLogFormat(spec *fleetv1alpha1.AccessLog) *corev3.SubstitutionFormatString {
	switch {
	case spec.Text != nil:
		text := *spec.Text
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_TextFormatSource{
			TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}},
		}}
	case len(spec.JSON) > 0:
		members := map[string]*structpb.Value{}
		for name, format := range spec.JSON {
			members[name] = structpb.NewStringValue(format)
		}
		return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: members}}}
	}
	return nil
}
