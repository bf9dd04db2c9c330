package report

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		took []time.Duration
		q    float64
		want time.Duration
	}{
		{"none", nil, 0.5, 0},
		{"one", []time.Duration{7}, 0.99, 7},
		{"the median of an odd number", []time.Duration{3, 1, 2}, 0.5, 2},
		{"the median of an even number", []time.Duration{4, 3, 1, 2}, 0.5, 2},
		{"p99 of ten is the worst", []time.Duration{9, 8, 7, 6, 5, 4, 3, 2, 1, 10}, 0.99, 10},
		{"all", []time.Duration{1, 2, 3}, 1, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Quantile(tt.took, tt.q); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 ms", 1234 * time.Microsecond: "1.23 ms", 999 * time.Millisecond: "999 ms",
		999_999 * time.Microsecond: "1 s", time.Second: "1 s", 12345 * time.Millisecond: "12.3 s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	rows := []Row{
		{What: "one change", Figure: "12 ms", Target: "under 20 ms", Verdict: Judge(12, 20), Details: "worst 19 ms"},
		{What: "another", Figure: "20 ms", Target: "under 20 ms", Verdict: Judge(20, 20)},
		{What: "memory", Figure: "1 MiB"},
	}
	for format, want := range map[string]string{
		"table": `
WHAT FIGURE TARGET DETAILS
one change 12 ms under 20 ms met worst 19 ms
another 20 ms under 20 ms missed
memory 1 MiB -
`,
		"markdown": `
| What | Figure | Target | | Details |
|---|---|---|---|---|
| one change | 12 ms | under 20 ms | met | worst 19 ms |
| another | 20 ms | under 20 ms | missed | |
| memory | 1 MiB | - | | |
`,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := Print(&out, format, rows); err != nil {
				t.Fatal(err)
			}
			got := "\n"
			for line := range strings.Lines(out.String()) {
				got += strings.Join(strings.Fields(line), " ") + "\n"
			}
			if got != want {
				t.Errorf("got%swant%s", got, want)
			}
		})
	}
	if err := Print(io.Discard, "xml", rows); err == nil {
		t.Error("want an error for an unknown format")
	}
}
