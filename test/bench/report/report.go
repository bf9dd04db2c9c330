// Package report prints what benchmarks have found: as a table, for people, as Markdown, for pages, and as JSON, for programs.
//
// Its one invariant: a figure without a target is never called met.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Verdict is how a figure compares with its target.
type Verdict string

// The verdicts. A figure without a target has none.
const (
	Met    Verdict = "met"
	Missed Verdict = "missed"
)

// Row is a figure.
type Row struct {
	What    string  `json:"what"`
	Figure  string  `json:"figure"`
	Target  string  `json:"target,omitempty"`
	Verdict Verdict `json:"verdict,omitempty"`
	// Details are more figures, of the same measurement.
	Details string `json:"details,omitempty"`
}

// Judge says whether a figure is below its limit.
func Judge[T int | int64 | float64 | time.Duration](figure, limit T) Verdict {
	if figure < limit {
		return Met
	}
	return Missed
}

// Formats are the names of those that Print knows.
var Formats = []string{"table", "markdown", "json"}

var header = []string{"What", "Figure", "Target", "", "Details"}

func (r Row) cells() []string {
	return []string{r.What, r.Figure, cmp.Or(r.Target, "-"), string(r.Verdict), r.Details}
}

// Print prints rows in one of the Formats.
func Print(w io.Writer, format string, rows []Row) error {
	switch format {
	case "table":
		return table(w, rows)
	case "markdown":
		return markdown(w, rows)
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(rows)
	}
	return fmt.Errorf("unknown format %q: want one of %s", format, strings.Join(Formats, ", "))
}

func table(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ToUpper(strings.Join(header, "\t")))
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r.cells(), "\t"))
	}
	return t.Flush()
}

func markdown(w io.Writer, rows []Row) error {
	var out strings.Builder
	line := func(cells []string) { fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | ")) }
	line(header)
	out.WriteString(strings.Repeat("|---", len(header)) + "|\n")
	for _, r := range rows {
		line(r.cells())
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// Quantile is the least of the durations that at least a share q of them don't exceed; 0 if there are none. It sorts them.
func Quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[max(0, int(math.Ceil(q*float64(len(took))))-1)]
}

// Duration writes a duration with three significant digits, in seconds or milliseconds.
func Duration(d time.Duration) string {
	if d >= 999500*time.Microsecond {
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
	return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
}
