package apiserver

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestFewerSeries(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	of := func(name string, buckets int, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Buckets: prometheus.LinearBuckets(1, 1, buckets)}, labels)
		registry.MustRegister(h)
		return h
	}
	many, few, alone := of("many", 20, "kind", "verb"), of("few", 3, "verb"), of("alone", 20)
	own, ownAlone := of("gateway_apiserver_own", 3, "kind"), of("gateway_apiserver_alone", 20)
	requests := of("apiserver_request_duration_seconds", 30, "verb", "scope", "resource")
	for value := range 20 {
		many.WithLabelValues(fmt.Sprint(value%3), "a").Observe(float64(value) + 0.5)
	}
	for _, kind := range []string{"one", "other"} {
		own.WithLabelValues(kind).Observe(1.5)
	}
	few.WithLabelValues("a").Observe(1.5)
	alone.WithLabelValues().Observe(1.5)
	ownAlone.WithLabelValues().Observe(1.5)
	requests.WithLabelValues("LIST", "cluster", "gateways").Observe(0.5)
	requests.WithLabelValues("LIST", "cluster", "httproutes").Observe(3.5)
	requests.WithLabelValues("LIST", "namespace", "httproutes").Observe(20)

	families, err := fewerSeries{registry}.Gather()
	if err != nil {
		t.Fatal(err)
	}
	type bucket struct {
		Bound float64
		Count uint64
	}
	got := map[string][]bucket{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, b := range metric.GetHistogram().GetBucket() {
				got[family.GetName()] = append(got[family.GetName()], bucket{b.GetUpperBound(), b.GetCumulativeCount()})
			}
		}
	}
	if diff := cmp.Diff([]bucket{{5, 5}, {10, 10}, {15, 15}, {20, 20}}, got["many"]); diff != "" {
		t.Errorf("of many buckets (-want +have):\n%s", diff)
	}
	if n := len(got["few"]); n != 3 {
		t.Errorf("a histogram with 3 buckets has %d left", n)
	}
	if n := len(got["gateway_apiserver_own"]); n != 2*3 {
		t.Errorf("two histograms of our own, of 3 buckets each, have %d", n)
	}
	if n := len(got["alone"]); n != maxBuckets {
		t.Errorf("a histogram without labels, of 20 buckets, has %d left", n)
	}
	if n := len(got["gateway_apiserver_alone"]); n != 20 {
		t.Errorf("one of our own without labels, of 20 buckets, has %d left", n)
	}
	want := []bucket{{1, 1}, {5, 2}, {30, 2}, {1, 0}, {5, 0}, {30, 1}} // no bucket has a bound of 0.1 here
	if diff := cmp.Diff(want, got["apiserver_request_duration_seconds"]); diff != "" {
		t.Errorf("of requests, by scope (-want +have):\n%s", diff)
	}
}
