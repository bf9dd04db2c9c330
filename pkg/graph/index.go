package graph

// An index is a set of edges, looked up by the end that is referred to. The target of an edge need not exist: an
// object that appears later finds its referrers here.
type index[T, R comparable] map[T]map[R]struct{}

func (ix index[T, R]) add(target T, referrer R) {
	referrers := ix[target]
	if referrers == nil {
		referrers = map[R]struct{}{}
		ix[target] = referrers
	}
	referrers[referrer] = struct{}{}
}

func (ix index[T, R]) remove(target T, referrer R) {
	referrers := ix[target]
	delete(referrers, referrer)
	if len(referrers) == 0 {
		delete(ix, target)
	}
}

// edit is index.add or index.remove, so that one walk over an object's references serves both.
func (ix index[T, R]) edit(present bool, target T, referrer R) {
	if present {
		ix.add(target, referrer)
	} else {
		ix.remove(target, referrer)
	}
}

// diffSorted walks two sorted lists without duplicates and calls gone for what is in before only, come for what is in
// after only and kept for what is in both.
func diffSorted[T any](before, after []T, compare func(a, b T) int, gone, come, kept func(T)) {
	for len(before) > 0 || len(after) > 0 {
		order := 0
		switch {
		case len(after) == 0:
			order = -1
		case len(before) == 0:
			order = 1
		default:
			order = compare(before[0], after[0])
		}
		switch {
		case order < 0:
			gone(before[0])
			before = before[1:]
		case order > 0:
			come(after[0])
			after = after[1:]
		default:
			kept(before[0])
			before, after = before[1:], after[1:]
		}
	}
}
