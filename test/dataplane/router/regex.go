package router

import (
	"fmt"
	"regexp"
	"strings"
)

// substitution replaces every match of an expression, as RE2's GlobalReplace.
type substitution struct {
	re    *regexp.Regexp
	parts []part
}

// part is literal text, or the number of a group of the match (0: all of it) if the text is empty.
type part struct {
	text  string
	group int
}

// newSubstitution reads "\0" to "\9" and "\\" in what an expression is replaced by. Envoy leaves a path alone when it comes to
// something else; here it is an error.
func newSubstitution(expression, with string) (*substitution, error) {
	re, err := regexp.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("pattern.regex: %w", err)
	}
	s := &substitution{re: re}
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			s.parts = append(s.parts, part{text: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(with); i++ {
		if with[i] != '\\' {
			literal.WriteByte(with[i])
			continue
		}
		i++
		switch {
		case i < len(with) && with[i] == '\\':
			literal.WriteByte('\\')
		case i < len(with) && '0' <= with[i] && with[i] <= '9' && int(with[i]-'0') <= re.NumSubexp():
			flush()
			s.parts = append(s.parts, part{group: int(with[i] - '0')})
		default:
			return nil, fmt.Errorf(`substitution %q: \ must be followed by \ or the number of a group of %q`, with, expression)
		}
	}
	flush()
	return s, nil
}

func (s *substitution) replaceAll(in string) string {
	var out strings.Builder
	from := 0
	for _, match := range s.re.FindAllStringSubmatchIndex(in, -1) {
		out.WriteString(in[from:match[0]])
		from = match[1]
		for _, p := range s.parts {
			if p.text != "" {
				out.WriteString(p.text)
			} else if start := match[2*p.group]; start >= 0 {
				out.WriteString(in[start:match[2*p.group+1]])
			}
		}
	}
	out.WriteString(in[from:])
	return out.String()
}
