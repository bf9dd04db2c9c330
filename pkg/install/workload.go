package install

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// SecurePortName is the name of the port, of pods and of the Service.
const SecurePortName = "https"

// Where Envoys reach the server.
const (
	// XDSService is the name of the Service.
	XDSService = Name + "-xds"
	// XDSPort is the port, of the Service and of pods.
	XDSPort = 18000
)

const (
	xdsPortName  = "xds"
	peerPortName = "peer"
	peerPort     = 2380
)

// Volumes and where they are mounted.
const (
	dataVolume  = "data"
	dataDir     = "/var/lib/gateway-apiserver"
	memberDir   = dataDir + "/etcd" // for the user alone, as the root of a volume cannot be
	etcdVolume  = "etcd-certs"
	etcdCertDir = "/etc/gateway-apiserver/etcd"
	tmpVolume   = "tmp"
)

// user is nonroot in distroless images.
const user = 65532

// shutdownDelay is how long a server that is told to stop still serves, so that whoever follows its endpoints has
// noticed.
const shutdownDelay = "10s"

// workload runs the server: a Deployment, or a StatefulSet if etcd is embedded.
func (o Options) workload() []Object {
	if o.Etcd.Embedded {
		return []Object{o.peers(), o.statefulSet()}
	}
	return []Object{o.deployment()}
}

func (o Options) deployment() *appsv1.Deployment {
	rolling := &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromInt32(1))}
	if o.HostNetwork { // there may be no node where one more could have the port
		rolling = &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromInt32(1)), MaxSurge: new(intstr.FromInt32(0))}
	}
	return &appsv1.Deployment{
		TypeMeta:   typeMeta(appsv1.SchemeGroupVersion.String(), "Deployment"),
		ObjectMeta: o.meta(Name),
		Spec: appsv1.DeploymentSpec{
			Replicas: new(o.Replicas),
			Selector: &metav1.LabelSelector{MatchLabels: selector()},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: rolling},
			Template: o.pod(),
		},
	}
}

func (o Options) statefulSet() *appsv1.StatefulSet {
	claim := corev1.PersistentVolumeClaim{
		ObjectMeta: clusterMeta(dataVolume),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: o.Etcd.StorageSize}},
		},
	}
	if o.Etcd.StorageClass != "" {
		claim.Spec.StorageClassName = new(o.Etcd.StorageClass)
	}
	return &appsv1.StatefulSet{
		TypeMeta:   typeMeta(appsv1.SchemeGroupVersion.String(), "StatefulSet"),
		ObjectMeta: o.meta(Name),
		Spec: appsv1.StatefulSetSpec{
			Replicas:    new(o.Etcd.Members),
			ServiceName: peersService,
			Selector:    &metav1.LabelSelector{MatchLabels: selector()},
			// Members start together: none is ready before most of them run.
			PodManagementPolicy:  appsv1.ParallelPodManagement,
			Template:             o.pod(),
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{claim},
		},
	}
}

// peers gives each member a name, also while it isn't ready: members need each other for that.
func (o Options) peers() *corev1.Service {
	return &corev1.Service{
		TypeMeta:   typeMeta(corev1.SchemeGroupVersion.String(), "Service"),
		ObjectMeta: o.meta(peersService),
		Spec: corev1.ServiceSpec{
			ClusterIP:                corev1.ClusterIPNone,
			PublishNotReadyAddresses: true,
			Selector:                 selector(),
			Ports:                    []corev1.ServicePort{{Name: peerPortName, Port: peerPort, TargetPort: intstr.FromInt32(peerPort), Protocol: corev1.ProtocolTCP}},
		},
	}
}

// args are the flags of the server, none with a value that a shell would change.
func (o Options) args() []string {
	args := []string{
		"serve",
		fmt.Sprintf("--secure-port=%d", o.SecurePort),
		"--self-signed",
		"--namespace=" + o.Namespace,
		"--service=" + Name,
		"--channel=" + string(o.Channel),
		"--shutdown-delay-duration=" + shutdownDelay,
		// With TLS, as on any address but loopback. That would be plaintext, and may be the node's.
		fmt.Sprintf("--xds-listen=:%d", XDSPort),
	}
	if o.Provisioning {
		args = append(args, "--provisioning")
	}
	if !o.Etcd.Embedded {
		args = append(args, "--etcd-servers="+strings.Join(o.Etcd.Endpoints, ","))
		if o.Etcd.Secret != "" {
			args = append(args, "--etcd-cafile="+etcdCertDir+"/ca.crt", "--etcd-certfile="+etcdCertDir+"/tls.crt", "--etcd-keyfile="+etcdCertDir+"/tls.key")
		}
		return args
	}
	args = append(args, "--embedded-etcd="+memberDir)
	if o.Etcd.Members == 1 {
		return args
	}
	var peers []string
	for i := range o.Etcd.Members {
		peers = append(peers, fmt.Sprintf("%s-%d=https://%[1]s-%[2]d.%s.%s.svc:%d", Name, i, peersService, o.Namespace, peerPort))
	}
	return append(args,
		"--embedded-etcd-name=$(POD_NAME)",
		"--embedded-etcd-peers="+strings.Join(peers, ","),
		fmt.Sprintf("--embedded-etcd-listen-peer=0.0.0.0:%d", peerPort))
}

func (o Options) pod() corev1.PodTemplateSpec {
	spec := corev1.PodSpec{
		ServiceAccountName: Name,
		PriorityClassName:  criticalPriority,
		// Longer than shutdownDelay, and the longest request or the end of all xDS streams (--xds-drain) after that.
		TerminationGracePeriodSeconds: new(int64(90)),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			RunAsUser:      new(int64(user)),
			RunAsGroup:     new(int64(user)),
			FSGroup:        new(int64(user)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			// Walking through the volume at each start takes long, and changes nothing.
			FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
		},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{spread(corev1.LabelHostname), spread(corev1.LabelTopologyZone)},
		Containers:                []corev1.Container{o.container()},
		Volumes:                   []corev1.Volume{{Name: tmpVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
	}
	if o.HostNetwork {
		spec.HostNetwork = true
		spec.DNSPolicy = corev1.DNSClusterFirstWithHostNet
	}
	if o.Etcd.Secret != "" {
		spec.Volumes = append(spec.Volumes, corev1.Volume{
			Name: etcdVolume, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: o.Etcd.Secret, DefaultMode: new(int32(0o440))}},
		})
	}
	template := corev1.PodTemplateSpec{Spec: spec}
	template.Labels = labels()
	return template
}

// spread keeps replicas apart where that is possible. A cluster of one node is fine too.
func spread(topology string) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{
		MaxSkew:           1,
		TopologyKey:       topology,
		WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector:     &metav1.LabelSelector{MatchLabels: selector()},
	}
}

func (o Options) container() corev1.Container {
	c := corev1.Container{
		Name:    Name,
		Image:   o.Image,
		Command: []string{"/gateway-apiserver"},
		Args:    o.args(),
		Env:     []corev1.EnvVar{{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}}},
		Ports: []corev1.ContainerPort{
			{Name: SecurePortName, ContainerPort: o.SecurePort, Protocol: corev1.ProtocolTCP},
			{Name: xdsPortName, ContainerPort: XDSPort, Protocol: corev1.ProtocolTCP},
		},
		// Anybody may ask these. A server is not restarted for an etcd that is down, which would help neither. A member
		// that joins again first loads what it has missed, which can take minutes.
		StartupProbe:   probe("/livez?exclude=etcd", 5, 120),
		LivenessProbe:  probe("/livez?exclude=etcd", 10, 6),
		ReadinessProbe: probe("/readyz?exclude=etcd-writes", 5, 3),
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi"),
		}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts:             []corev1.VolumeMount{{Name: tmpVolume, MountPath: "/tmp"}},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	if o.Etcd.Secret != "" {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: etcdVolume, MountPath: etcdCertDir, ReadOnly: true})
	}
	if o.Etcd.Embedded {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: dataVolume, MountPath: dataDir})
		if o.Etcd.Members > 1 {
			c.Ports = append(c.Ports, corev1.ContainerPort{Name: peerPortName, ContainerPort: peerPort, Protocol: corev1.ProtocolTCP})
		}
	}
	return c
}

// probe asks the server every so many seconds, and gives up after so many failures.
func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromString(SecurePortName), Scheme: corev1.URISchemeHTTPS,
		}},
		PeriodSeconds: period, TimeoutSeconds: 10, FailureThreshold: failures,
	}
}
