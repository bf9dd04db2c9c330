package apiserver

import (
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/metrics/legacyregistry"
)

// metricsPath is where metrics are served, as by every component of Kubernetes.
const metricsPath = "/metrics"

// ownMetrics is what the names of this project's metrics begin with. They have few labels.
const ownMetrics = "gateway_apiserver_"

// maxBuckets bounds the buckets of a histogram, besides that of everything.
const maxBuckets = 4

// keptLabels are those of the libraries' histograms that are kept: what was done, rather than to what.
var keptLabels = []string{"verb", "scope", "operation"}

// keptBounds are the buckets of histograms about which there are usual alerts and dashboards. The objectives of kubernetes-mixin are
// a second for requests about one object, 5 for those about a namespace and 30 for those about the cluster.
var keptBounds = map[string][]float64{
	"apiserver_request_duration_seconds":     {0.1, 1, 5, 30},
	"apiserver_request_sli_duration_seconds": {0.1, 1, 5, 30},
	"etcd_request_duration_seconds":          {0.005, 0.025, 0.1, 1},
}

// serveFewerSeries replaces what serves the metrics. The libraries have histograms of some 20 buckets for each kind, version
// and verb, which would make up thousands of the series that a monitoring system keeps of each replica. reset says that
// DELETE sets metrics back, as it does in a server that can be profiled.
func serveFewerSeries(server *genericapiserver.GenericAPIServer, reset bool) {
	others := legacyregistry.HandlerWithReset()
	read := promhttp.HandlerFor(fewerSeries{legacyregistry.DefaultGatherer}, promhttp.HandlerOpts{})
	mux := server.Handler.NonGoRestfulMux
	mux.Unregister(metricsPath)
	mux.HandleFunc(metricsPath, func(w http.ResponseWriter, req *http.Request) {
		if reset && req.Method == http.MethodDelete {
			others.ServeHTTP(w, req)
			return
		}
		read.ServeHTTP(w, req)
	})
}

// fewerSeries gathers metrics. The histograms of the libraries are summed over all labels but keptLabels. They, and those of our own
// that have any label, then have no more than maxBuckets buckets, or keptBounds. Which ones these are depends on the histogram alone,
// so that rates and quantiles can be computed of them.
type fewerSeries struct{ prometheus.Gatherer }

// Gather implements prometheus.Gatherer.
func (g fewerSeries) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.Gatherer.Gather() // what it could gather, also after an error
	for _, family := range families {
		if family.GetType() != dto.MetricType_HISTOGRAM {
			continue
		}
		own := strings.HasPrefix(family.GetName(), ownMetrics)
		if !own {
			family.Metric = summed(family.GetMetric())
		}
		for _, metric := range family.GetMetric() {
			if h := metric.GetHistogram(); !own || len(metric.GetLabel()) > 0 {
				h.Bucket = fewer(h.GetBucket(), keptBounds[family.GetName()])
			}
		}
	}
	return families, err
}

// summed returns one histogram for each set of values of keptLabels. All of a family have the same buckets.
func summed(metrics []*dto.Metric) []*dto.Metric {
	var sums []*dto.Metric
	byLabels := map[string]*dto.Histogram{}
	for _, metric := range metrics {
		var kept []*dto.LabelPair
		key := ""
		for _, label := range metric.GetLabel() { // sorted by name
			if slices.Contains(keptLabels, label.GetName()) {
				kept, key = append(kept, label), key+label.GetName()+"\xff"+label.GetValue()+"\xff"
			}
		}
		h := metric.GetHistogram()
		sum := byLabels[key]
		if sum == nil {
			byLabels[key] = h
			sums = append(sums, &dto.Metric{Label: kept, Histogram: h})
			continue
		}
		sum.SampleCount = new(sum.GetSampleCount() + h.GetSampleCount())
		sum.SampleSum = new(sum.GetSampleSum() + h.GetSampleSum())
		for i, bucket := range h.GetBucket() {
			if i < len(sum.Bucket) {
				sum.Bucket[i].CumulativeCount = new(sum.Bucket[i].GetCumulativeCount() + bucket.GetCumulativeCount())
			}
		}
	}
	return sums
}

// fewer returns the buckets with the given bounds, or, if there are none, at most maxBuckets, at even distances, the last one among
// them. They are cumulative, so each of them is right without the others.
func fewer(buckets []*dto.Bucket, bounds []float64) []*dto.Bucket {
	n := len(buckets)
	kept := make([]*dto.Bucket, 0, maxBuckets)
	for _, bucket := range buckets {
		if slices.Contains(bounds, bucket.GetUpperBound()) {
			kept = append(kept, bucket)
		}
	}
	switch {
	case len(kept) > 0:
		return kept
	case n <= maxBuckets:
		return buckets
	}
	for i := 1; i <= maxBuckets; i++ {
		kept = append(kept, buckets[i*n/maxBuckets-1])
	}
	return kept
}
