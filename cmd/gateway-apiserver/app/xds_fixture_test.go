package app

const listenersYAML = `
name: default/web:80
address: {socket_address: {address: "::", port_value: 80, ipv4_compat: true}}
filter_chains:
- filters:
  - name: http
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: web
      rds: {config_source: {ads: {}}, route_config_name: "default/web:80"}
---
name: default/web:443
address: {socket_address: {address: 192.0.2.1, port_value: 443}}
additional_addresses:
- address: {socket_address: {address: 192.0.2.2, port_value: 443}}
filter_chains:
- filter_chain_match: {transport_protocol: tls, server_names: [shop.example.com, "*.shop.example.com"]}
  transport_socket:
    name: tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
      common_tls_context:
        tls_certificate_sds_secret_configs:
        - {name: default/cert, sds_config: {ads: {}}}
  filters:
  - name: http
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: web
      rds: {config_source: {ads: {}}, route_config_name: "default/web:443/https"}
`

const meshListenersYAML = `
name: color.faces:80
api_listener:
  api_listener:
    "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
    stat_prefix: color
    route_config:
      name: color.faces:80
      virtual_hosts:
      - name: color
        domains: ["*"]
        routes:
        - match: {prefix: ""}
          route: {weighted_clusters: {clusters: [{name: "default/app:80", weight: 1}, {name: "default/gone:80", weight: 1}]}}
`

const routesYAML = `
name: default/web:80
virtual_hosts:
- name: shop
  domains: [shop.example.com]
  routes:
  - name: canary
    match:
      path_separated_prefix: /v2
      headers:
      - {name: ":method", string_match: {exact: GET}}
      - {name: x-env, string_match: {exact: canary}}
      query_parameters:
      - {name: debug, string_match: {exact: "true"}}
    route:
      weighted_clusters:
        clusters:
        - {name: "default/app:80", weight: 90}
        - {name: "default/new:80", weight: 10}
      timeout: 10s
      retry_policy: {per_try_timeout: 2s}
  - match: {path: /old}
    redirect: {scheme_redirect: https, host_redirect: new.example.com, port_redirect: 8443, path_redirect: /new, response_code: FOUND}
  - match: {prefix: /prefix}
    redirect: {https_redirect: true, prefix_rewrite: /}
  - match: {safe_regex: {regex: "/v[0-9]+"}, headers: [{name: x-a, safe_regex_match: {regex: a+}, invert_match: true}, {name: x-b, present_match: true}]}
    direct_response: {status: 500, body: {inline_string: no backend}}
  - match: {prefix: /}
    route:
      cluster: default/app:80
      host_rewrite_literal: app.internal
      prefix_rewrite: /app
      timeout: 0s
      request_mirror_policies:
      - {cluster: "default/new:80", runtime_fraction: {default_value: {numerator: 425, denominator: TEN_THOUSAND}}}
- name: none
  domains: ["*"]
---
name: default/web:443/https
virtual_hosts:
- name: shop
  domains: ["*"]
  routes:
  - match: {path: /echo.Echo/Say, grpc: {}}
    route: {cluster: "default/grpc:9000/http2", max_stream_duration: {max_stream_duration: 5s}}
`

const clustersYAML = `
name: default/app:80
type: EDS
eds_cluster_config: {eds_config: {ads: {}}}
---
name: default/new:80
type: EDS
eds_cluster_config: {eds_config: {ads: {}}}
---
name: default/grpc:9000/http2
type: EDS
eds_cluster_config: {eds_config: {ads: {}}}
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http2_protocol_options: {}}
`

const endpointsYAML = `
cluster_name: default/app:80
endpoints:
- locality: {zone: zone-a}
  lb_endpoints:
  - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 8080}}}
  - endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 8080}}}
    health_status: DRAINING
    load_balancing_weight: 3
---
cluster_name: default/new:80
---
cluster_name: default/grpc:9000/http2
endpoints:
- lb_endpoints:
  - endpoint: {address: {socket_address: {address: "2001:db8::1", port_value: 9000}}}
`

const secretsYAML = `
name: default/cert
tls_certificate:
  certificate_chain: {inline_string: PUBLIC CHAIN}
  private_key: {inline_string: %q}
`

const webTables = `LISTENERS
NAME              ADDRESS               PORT   TLS                                                  ROUTE TABLE OR CLUSTERS
default/web:443   192.0.2.1,192.0.2.2   443    shop.example.com,*.shop.example.com (default/cert)   default/web:443/https
default/web:80    ::                    80     -                                                    default/web:80

ROUTES
TABLE                   HOST               MATCH                                                       ACTION                                                                                        TIMEOUTS              NAME
default/web:443/https   *                  Exact /echo.Echo/Say                                        default/grpc:9000/http2                                                                       stream 5s             -
default/web:80          shop.example.com   GET PathPrefix /v2, header x-env=canary, query debug=true   default/app:80 weight 90, default/new:80 weight 10                                            request 10s, try 2s   canary
default/web:80          shop.example.com   Exact /old                                                  302 https://new.example.com:8443/new                                                          -                     -
default/web:80          shop.example.com   Prefix /prefix                                              301 https://host/*                                                                            -                     -
default/web:80          shop.example.com   RegularExpression /v[0-9]+, header not x-a~a+, header x-b   500 "no backend"                                                                              -                     -
default/web:80          shop.example.com   PathPrefix /                                                default/app:80, host becomes app.internal, prefix becomes /app, mirror default/new:80 4.25%   request none          -
default/web:80          *                  -                                                           404                                                                                           -                     -

CLUSTERS
NAME                      TYPE   PROTOCOL
default/app:80            EDS    HTTP/1.1
default/grpc:9000/http2   EDS    HTTP/2
default/new:80            EDS    HTTP/1.1

ENDPOINTS
CLUSTER                   ADDRESS              ZONE     HEALTH     WEIGHT
default/app:80            10.0.0.1:8080        zone-a   healthy    -
default/app:80            10.0.0.2:8080        zone-a   draining   3
default/grpc:9000/http2   [2001:db8::1]:9000   -        healthy    -
default/new:80            none                 -        -          -
`

const meshTables = `LISTENERS
NAME             ADDRESS   PORT   TLS   ROUTE TABLE OR CLUSTERS
color.faces:80   -         -      -     color.faces:80

ROUTES
TABLE            HOST   MATCH          ACTION                                              TIMEOUTS   NAME
color.faces:80   *      PathPrefix /   default/app:80 weight 1, default/gone:80 weight 1   -          -

CLUSTERS
NAME             TYPE   PROTOCOL
default/app:80   EDS    HTTP/1.1

ENDPOINTS
none

MISSING (the others refer to it, the server does not have it)
TYPE                    NAME
Cluster                 default/gone:80
ClusterLoadAssignment   default/app:80
`
