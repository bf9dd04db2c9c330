package faults
import _ "github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
