package extauthz

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/call"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// defaultTimeout is how long an authorization server may take if no timeout is set.
const defaultTimeout = 200 * time.Millisecond

// service asks an authorization server. An error says that there is no verdict.
type service interface {
	check(ctx context.Context, clusters call.Clusters, request *authv3.CheckRequest) (*verdict, error)
}

// verdict is what a server says.
type verdict struct {
	status int  // 0: the request may go on
	failed bool // the server says that it has failed; status is 0 if it doesn't say what the client is to get
	body   string

	set      []change // of the header of the request, or of the response that refuses it
	appended []change // to what the request has of these
	remove   []string
	response []change // of the header of the response to a request that goes on

	setQuery    [][2]string
	removeQuery []string
}

type change struct {
	name, value string
	action      corev3.HeaderValueOption_HeaderAppendAction
}

type grpcService struct{ method call.GRPC }

func newGRPC(config *corev3.GrpcService) service {
	return grpcService{call.GRPC{
		Cluster:   config.GetEnvoyGrpc().GetClusterName(),
		Authority: config.GetEnvoyGrpc().GetAuthority(),
		Method:    "/envoy.service.auth.v3.Authorization/Check",
		Timeout:   cmp.Or(config.GetTimeout().AsDuration(), defaultTimeout),
	}}
}

func (s grpcService) check(ctx context.Context, clusters call.Clusters, request *authv3.CheckRequest) (*verdict, error) {
	response := &authv3.CheckResponse{}
	if err := s.method.Do(ctx, clusters, request, response); err != nil {
		return nil, err
	}
	if response.GetStatus().GetCode() == int32(codes.OK) {
		return allowed(response.GetOkResponse()), nil
	}
	if failure := response.GetErrorResponse(); failure != nil {
		v := denied(failure)
		v.status, v.failed = int(failure.GetStatus().GetCode()), true
		return v, nil
	}
	v := denied(response.GetDeniedResponse())
	v.status = cmp.Or(int(response.GetDeniedResponse().GetStatus().GetCode()), http.StatusForbidden)
	return v, nil
}

func allowed(ok *authv3.OkHttpResponse) *verdict {
	v := &verdict{remove: ok.GetHeadersToRemove(), removeQuery: ok.GetQueryParametersToRemove()}
	for _, option := range ok.GetHeaders() {
		c := changeOf(option)
		// "By setting the append field to true, the filter will append the correspondent header value to the matched request
		// header."
		if c.action == corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD {
			v.appended = append(v.appended, c)
		} else {
			v.set = append(v.set, c)
		}
	}
	for _, option := range ok.GetResponseHeadersToAdd() {
		v.response = append(v.response, changeOf(option))
	}
	for _, q := range ok.GetQueryParametersToSet() {
		v.setQuery = append(v.setQuery, [2]string{q.GetKey(), q.GetValue()})
	}
	return v
}

func denied(response *authv3.DeniedHttpResponse) *verdict {
	v := &verdict{body: response.GetBody()}
	for _, option := range response.GetHeaders() {
		v.set = append(v.set, changeOf(option))
	}
	return v
}

// changeOf reads an option of a server's answer: "the append field in HeaderValueOption defaults to false when used in this
// message."
func changeOf(option *corev3.HeaderValueOption) change {
	c := change{name: option.GetHeader().GetKey(), value: option.GetHeader().GetValue(), action: option.GetAppendAction()}
	if raw := option.GetHeader().GetRawValue(); len(raw) > 0 {
		c.value = string(raw)
	}
	switch {
	//lint:ignore SA1019 servers use the deprecated field
	case option.GetAppend().GetValue():
		c.action = corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
	case c.action == corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
		c.action = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
	}
	return c
}

type httpService struct {
	cluster    string
	timeout    time.Duration
	pathPrefix string
	copied     stringmatch.Any // headers of the response that go into the request
}

func newHTTP(config *extauthzv3.HttpService) (service, error) {
	prefix := config.GetPathPrefix()
	if prefix != "" && !strings.HasPrefix(prefix, "/") {
		return nil, errors.New(`http_service.path_prefix: should start with "/"`)
	}
	if strings.ContainsAny(prefix, "?#") {
		return nil, errors.New("http_service.path_prefix: must not have a query or a fragment")
	}
	copied, err := stringmatch.NewAny(config.GetAuthorizationResponse().GetAllowedUpstreamHeaders().GetPatterns())
	if err != nil {
		return nil, fmt.Errorf("http_service.authorization_response.allowed_upstream_headers.patterns%w", err)
	}
	return httpService{
		cluster:    config.GetServerUri().GetCluster(),
		timeout:    cmp.Or(config.GetServerUri().GetTimeout().AsDuration(), defaultTimeout),
		pathPrefix: prefix,
		copied:     copied,
	}, nil
}

// check sends a request of the same method, host and path, with what the filter tells of the header and body.
func (s httpService) check(ctx context.Context, clusters call.Clusters, request *authv3.CheckRequest) (*verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	told := request.GetAttributes().GetRequest().GetHttp()
	body := told.GetRawBody()
	if body == nil {
		body = []byte(told.GetBody())
	}
	header := http.Header{}
	for name, value := range told.GetHeaders() {
		if !strings.HasPrefix(name, ":") && name != "content-length" {
			header.Set(name, value)
		}
	}
	r := &http.Request{
		Method: told.GetMethod(), URL: upstream.Target("http", s.pathPrefix+told.GetPath()), Host: told.GetHost(), Header: header,
		Body: http.NoBody,
	}
	if len(body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	response, data, err := call.HTTP(ctx, clusters, s.cluster, r)
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode >= http.StatusInternalServerError:
		return nil, fmt.Errorf("the server answers %s", response.Status)
	case response.StatusCode == http.StatusOK:
		return s.allowed(response.Header), nil
	}
	v := &verdict{status: response.StatusCode, body: string(data)}
	for name, values := range response.Header {
		for _, value := range values {
			v.set = append(v.set, change{name: name, value: value})
		}
	}
	return v, nil
}

// removeHeader is how an HTTP server says what OkHttpResponse.headers_to_remove does.
const removeHeader = "X-Envoy-Auth-Headers-To-Remove"

func (s httpService) allowed(header http.Header) *verdict {
	v := &verdict{}
	for _, line := range header[removeHeader] {
		for name := range strings.SplitSeq(line, ",") {
			v.remove = append(v.remove, strings.TrimSpace(name))
		}
	}
	header.Del(removeHeader)
	for name, values := range header {
		if s.copied.Match(strings.ToLower(name)) && len(values) > 0 {
			v.set = append(v.set, change{name: name, value: values[len(values)-1], action: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD})
		}
	}
	return v
}
