package core_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func service() *corev1.Service {
	return &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "grpc", Port: 90, TargetPort: intstr.FromString("grpc"), AppProtocol: new("kubernetes.io/h2c")}},
	}}
}

func affinity(seconds int32) *corev1.SessionAffinityConfig {
	return &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
}

func TestValidateService(t *testing.T) {
	t.Parallel()
	validate(t, "Service", service, map[string]validateCase[*corev1.Service]{
		"valid":                                 {func(*corev1.Service) {}, ""},
		"Service names begin with a letter":     {func(s *corev1.Service) { s.Name = "1a" }, invalid + "metadata.name"},
		"Service names have no dots":            {func(s *corev1.Service) { s.Name = "a.b" }, invalid + "metadata.name"},
		"a Service has ports":                   {func(s *corev1.Service) { s.Spec.Ports = nil }, required + "spec.ports"},
		"a headless Service may have none":      {func(s *corev1.Service) { s.Spec.Ports, s.Spec.ClusterIP = nil, "None" }, ""},
		"an ExternalName Service has a name":    {func(s *corev1.Service) { s.Spec.Type = "ExternalName" }, required + "spec.externalName"},
		"which is a DNS name":                   {func(s *corev1.Service) { s.Spec.Type, s.Spec.ExternalName = "ExternalName", "a_b" }, invalid + "spec.externalName"},
		"a Service type is known":               {func(s *corev1.Service) { s.Spec.Type = "Magic" }, notSupported + "spec.type"},
		"one port needs no name":                {func(s *corev1.Service) { s.Spec.Ports = s.Spec.Ports[:1]; s.Spec.Ports[0].Name = "" }, ""},
		"several ports have names":              {func(s *corev1.Service) { s.Spec.Ports[1].Name = "" }, required + "spec.ports[1].name"},
		"different names":                       {func(s *corev1.Service) { s.Spec.Ports[1].Name = "http" }, duplicate + "spec.ports[1].name"},
		"names that are DNS labels":             {func(s *corev1.Service) { s.Spec.Ports[1].Name = "A" }, invalid + "spec.ports[1].name"},
		"and different numbers":                 {func(s *corev1.Service) { s.Spec.Ports[1].Port = 80 }, duplicate + "spec.ports[1]"},
		"but for the protocol":                  {func(s *corev1.Service) { s.Spec.Ports[1].Port, s.Spec.Ports[1].Protocol = 80, "UDP" }, ""},
		"a port is in range":                    {func(s *corev1.Service) { s.Spec.Ports[1].Port = 65536 }, invalid + "spec.ports[1].port"},
		"a missing port is not":                 {func(s *corev1.Service) { s.Spec.Ports[1].Port = 0 }, invalid + "spec.ports[1].port"},
		"a protocol is known":                   {func(s *corev1.Service) { s.Spec.Ports[1].Protocol = "HTTP" }, notSupported + "spec.ports[1].protocol"},
		"a target port is in range":             {func(s *corev1.Service) { s.Spec.Ports[1].TargetPort = intstr.FromInt32(70000) }, invalid + "spec.ports[1].targetPort"},
		"or a name":                             {func(s *corev1.Service) { s.Spec.Ports[1].TargetPort = intstr.FromString("a b") }, invalid + "spec.ports[1].targetPort"},
		"an appProtocol has a syntax":           {func(s *corev1.Service) { s.Spec.Ports[1].AppProtocol = new("a b") }, invalid + "spec.ports[1].appProtocol"},
		"a ClusterIP Service has no node ports": {func(s *corev1.Service) { s.Spec.Ports[1].NodePort = 30000 }, forbidden + "spec.ports[1].nodePort"},
		"a NodePort Service does":               {func(s *corev1.Service) { s.Spec.Type, s.Spec.Ports[1].NodePort = "NodePort", 30000 }, ""},
		"a LoadBalancer is not headless":        {func(s *corev1.Service) { s.Spec.Type, s.Spec.ClusterIP = "LoadBalancer", "None" }, invalid + "spec.clusterIP"},
		"a clusterIP is an address":             {func(s *corev1.Service) { s.Spec.ClusterIP = "one" }, invalid + "spec.clusterIP"},
		"the first of clusterIPs is it":         {func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "10.0.0.1", []string{"10.0.0.2"} }, invalid + "spec.clusterIPs"},
		"a selector is of labels":               {func(s *corev1.Service) { s.Spec.Selector = map[string]string{"a": "b c"} }, invalid + "spec.selector"},
		"an affinity is known":                  {func(s *corev1.Service) { s.Spec.SessionAffinity = "Cookie" }, notSupported + "spec.sessionAffinity"},
		"no affinity has no configuration":      {func(s *corev1.Service) { s.Spec.SessionAffinityConfig = affinity(1) }, forbidden + "spec.sessionAffinityConfig"},
		"an external IP is an address":          {func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"one"} }, invalid + "spec.externalIPs[0]"},
		"an ExternalName Service has no ports":  {func(s *corev1.Service) { s.Spec = corev1.ServiceSpec{Type: "ExternalName", ExternalName: "a.example."} }, ""},
		"and no clusterIP": {func(s *corev1.Service) {
			s.Spec = corev1.ServiceSpec{Type: "ExternalName", ExternalName: "a.b", ClusterIP: "10.0.0.1"}
		}, forbidden + "spec.clusterIP"},
		"a node port is used once": {func(s *corev1.Service) {
			s.Spec.Type, s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = "NodePort", 30000, 30000
		}, duplicate + "spec.ports[1].nodePort"},
		"an affinity ends": {func(s *corev1.Service) {
			s.Spec.SessionAffinity, s.Spec.SessionAffinityConfig = "ClientIP", affinity(86401)
		}, invalid + "spec.sessionAffinityConfig.clientIP.timeoutSeconds"},
		"traffic policies are known": {func(s *corev1.Service) {
			s.Spec.InternalTrafficPolicy, s.Spec.ExternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicy("x")), "y"
		}, notSupported + "spec.externalTrafficPolicy\n" + notSupported + "spec.internalTrafficPolicy"},
	})
}
