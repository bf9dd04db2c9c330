package selfsigned

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestPatch(t *testing.T) {
	t.Parallel()
	c := config(clocktesting.NewFakeClock(start))
	ours := &apiregistrationv1.ServiceReference{Namespace: "gateways", Name: "api"}
	const patch = `{"metadata":{"resourceVersion":"7"},"spec":{"caBundle":"bmV3","insecureSkipTLSVerify":null}}`
	tests := []struct {
		name string
		spec apiregistrationv1.APIServiceSpec
		want string
	}{
		{name: "nothing trusted", spec: apiregistrationv1.APIServiceSpec{Service: ours}, want: patch},
		{name: "another bundle", spec: apiregistrationv1.APIServiceSpec{Service: ours, CABundle: []byte("old")}, want: patch},
		{name: "up to date", spec: apiregistrationv1.APIServiceSpec{Service: ours, CABundle: []byte("new")}},
		{name: "not verified", spec: apiregistrationv1.APIServiceSpec{Service: ours, InsecureSkipTLSVerify: true}, want: patch},
		{name: "of a CRD", spec: apiregistrationv1.APIServiceSpec{}},
		{name: "of another Service", spec: apiregistrationv1.APIServiceSpec{Service: &apiregistrationv1.ServiceReference{Namespace: "gateways", Name: "other"}}},
		{name: "of another namespace", spec: apiregistrationv1.APIServiceSpec{Service: &apiregistrationv1.ServiceReference{Namespace: "other", Name: "api"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.patch(&apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7"}, Spec: tt.spec}, []byte("new"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	at, inSecret, earlier := start, start.Add(-time.Hour), start.Add(-time.Minute)
	tests := []struct {
		name        string
		since       time.Time
		now, before bool
		want        time.Time
	}{
		{name: "published just now", now: true, want: at},
		{name: "published again", since: earlier, now: true, want: at},
		{name: "published by another replica", now: true, before: true, want: inSecret},
		{name: "still trusted", since: earlier, now: true, before: true, want: earlier},
		{name: "cannot be published", since: earlier},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			trust := trust{since: tt.since}
			trust.observe(tt.now, tt.before, inSecret, at)
			if !trust.since.Equal(tt.want) {
				t.Errorf("trusted since %v, want %v", trust.since, tt.want)
			}
		})
	}
}

func TestMayChange(t *testing.T) {
	t.Parallel()
	config := config(clocktesting.NewFakeClock(start))
	grace := config.Grace
	old := &leaf{ca: theirs(t, "old", day)}
	tests := []struct {
		name  string
		leaf  *leaf
		alone bool
		trust time.Time
		known time.Time
		want  bool
	}{
		{name: "trusted for long enough", leaf: old, trust: start.Add(-grace), want: true},
		{name: "not yet", leaf: old, trust: start.Add(-grace + 1)},
		{name: "not trusted", leaf: old, known: start.Add(-day)},
		{name: "not trusted, and the old CA has nearly expired", leaf: &leaf{ca: theirs(t, "expiring", grace)}, want: true},
		{name: "started, trusted", trust: start.Add(-grace), known: start, want: true},
		{name: "started, not trusted", known: start},
		{name: "started, nothing else is served", alone: true, known: start, want: true},
		{name: "started, just published", trust: start, known: start.Add(-grace)},
		{name: "started, and waited in vain", known: start.Add(-grace), want: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &Certificates{config: config, leaf: tt.leaf, authority: &authority{alone: tt.alone}, trust: trust{tt.trust}, known: tt.known}
			if got := c.mayChange(start); got != tt.want {
				t.Errorf("%t, want %t", got, tt.want)
			}
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	const life = 90 * day
	tests := []struct {
		name   string
		caLife time.Duration
		at     time.Duration
		want   bool
	}{
		{name: "young", caLife: 1000 * day, at: life/3*2 - life/10},
		{name: "old", caLife: 1000 * day, at: life / 3 * 2, want: true},
		{name: "expired", caLife: 1000 * day, at: life + day, want: true},
		{name: "lasts as long as its CA", caLife: 80 * day, at: 70 * day},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, _, _, err := issue(theirs(t, "ca", tt.caLife), serving(Config{}), start, life)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.due(start.Add(tt.at)); got != tt.want {
				t.Errorf("due %t, want %t", got, tt.want)
			}
		})
	}
}
