package robustness

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// searchTimeout is for one kind and one round. A search that takes longer is a failure: nothing is known then.
const searchTimeout = 2 * time.Minute

// checkHistory checks the requests of a round for one kind, from a state. It returns the lost requests that were done after
// all. What porcupine makes of a wrong history is written into dir, as a page.
func checkHistory(kind *Kind, initial State, requests []*Request, events []Event, dir string) (found map[*Request]bool, errs []error) {
	x := explain(kind, requests, events)
	errs = append(errs, x.wrong...)
	model := modelFrom(initial)
	result, info := porcupine.CheckOperationsVerbose(model, x.operations, searchTimeout)
	if result == porcupine.Ok {
		return x.found, errs
	}
	page := filepath.Join(dir, fmt.Sprintf("%s-%d.html", kind.Resource, initial.Revision))
	err := fmt.Errorf("the history of %s from %s is not linearizable", kind.Resource, initial)
	if result == porcupine.Unknown {
		err = fmt.Errorf("nobody knows whether the history of %s is linearizable: %v were not enough for %d operations", kind.Resource, searchTimeout, len(x.operations))
	}
	if failed := porcupine.VisualizePath(model, info, page); failed != nil {
		errs = append(errs, failed)
	}
	return x.found, append(errs, fmt.Errorf("%w; it is drawn in %s\n%s", err, page, stuck(x.operations, &info)))
}

// stuck are the operations about those that the longest linearization can't go on with.
func stuck(operations []porcupine.Operation, info *porcupine.LinearizationInfo) string {
	placed := map[int]bool{}
	for _, partial := range info.PartialLinearizations() {
		for _, order := range partial {
			if len(order) > len(placed) {
				placed = map[int]bool{}
				for _, n := range order {
					placed[n] = true
				}
			}
		}
	}
	const shown = 12
	var left []porcupine.Operation
	for n, o := range operations {
		if !placed[n] {
			left = append(left, o)
		}
	}
	slices.SortFunc(left, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var lines []string
	for _, o := range left[:min(shown, len(left))] {
		lines = append(lines, fmt.Sprintf("  %v-%v client %d: %s", time.Duration(o.Call), time.Duration(o.Return), o.ClientId, describe(o.Input.(Input), o.Output.(Output))))
	}
	return fmt.Sprintf("it can't be gone on with %d of %d operations, of which the first are\n%s", len(left), len(operations), strings.Join(lines, "\n"))
}
