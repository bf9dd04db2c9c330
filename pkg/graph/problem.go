package graph

import "fmt"

// newProblem takes the reason as any of the Gateway API's typed reasons.
func newProblem[R ~string](reason R, format string, args ...any) *Problem {
	return &Problem{Reason: string(reason), Message: fmt.Sprintf(format, args...)}
}

// in puts the field in which the problem was found in front of its message.
func (p *Problem) in(field string) *Problem {
	return &Problem{Reason: p.Reason, Message: field + ": " + p.Message}
}

func firstProblem(problems ...*Problem) *Problem {
	for _, p := range problems {
		if p != nil {
			return p
		}
	}
	return nil
}
