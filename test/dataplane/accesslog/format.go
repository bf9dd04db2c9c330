package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// format makes lines, each with what ends it.
type format interface {
	line(*Entry) []byte
}

// defaultFormat is that of Envoy.
//
// https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#default-format-string
const defaultFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ` +
	`%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ` +
	`%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
	`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

func newFormat(config *corev3.SubstitutionFormatString) (format, error) {
	switch f := config.GetFormat().(type) {
	case nil:
		return parse(defaultFormat)
	case *corev3.SubstitutionFormatString_TextFormatSource:
		text, err := parse(f.TextFormatSource.GetInlineString())
		if err != nil {
			return nil, fmt.Errorf("text_format_source.inline_string: %w", err)
		}
		return text, nil
	case *corev3.SubstitutionFormatString_JsonFormat:
		return newJSONFormat(f.JsonFormat)
	default:
		return nil, fmt.Errorf("format: %T isn't executed", f)
	}
}

// A textFormat is text and command operators in turn.
type textFormat []operator

// An operator returns a part of a line: a string, an int64, or nil for a value that isn't there.
type operator func(*Entry) any

func (f textFormat) line(e *Entry) []byte { return []byte(f.text(e)) }

func (f textFormat) text(e *Entry) string {
	var out strings.Builder
	for _, part := range f {
		switch value := part(e).(type) {
		case string:
			out.WriteString(value)
		case int64:
			out.WriteString(strconv.FormatInt(value, 10))
		default:
			out.WriteByte('-')
		}
	}
	return out.String()
}

// command matches "%OPERATOR(ARGUMENTS):LENGTH%", as Envoy's substitution_formatter.cc.
var command = regexp.MustCompile(`^%([A-Z0-9_]+)(\((.*?)\))?(?::([0-9]+))?%`)

// parse reads a format string. "%%" is a percent sign.
func parse(text string) (textFormat, error) {
	var out textFormat
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			value := literal.String()
			out = append(out, func(*Entry) any { return value })
			literal.Reset()
		}
	}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "%")
		literal.WriteString(before)
		if !found {
			break
		}
		if strings.HasPrefix(after, "%") {
			literal.WriteByte('%')
			rest = after[1:]
			continue
		}
		rest = rest[len(before):]
		m := command.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q is no command operator", rest)
		}
		flush()
		op, err := newOperator(m[1], m[2] != "", m[3], m[4])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m[0], err)
		}
		out = append(out, op)
		rest = rest[len(m[0]):]
	}
	flush()
	return out, nil
}

// A jsonFormat makes objects of its members, in the order of their names.
type jsonFormat map[string]textFormat

func newJSONFormat(config *structpb.Struct) (format, error) {
	out := jsonFormat{}
	for name, value := range config.GetFields() {
		text, ok := value.GetKind().(*structpb.Value_StringValue)
		if !ok {
			return nil, fmt.Errorf("json_format[%s]: only strings are executed", name)
		}
		parsed, err := parse(text.StringValue)
		if err != nil {
			return nil, fmt.Errorf("json_format[%s]: %w", name, err)
		}
		out[name] = parsed
	}
	return out, nil
}

// line: "Values are rendered as strings, numbers, or boolean values as appropriate" (SubstitutionFormatString.json_format): a
// member that is a single command operator has its type, and is null if there is no value.
func (f jsonFormat) line(e *Entry) []byte {
	values := make(map[string]any, len(f))
	for name, text := range f {
		if len(text) == 1 {
			values[name] = text[0](e)
		} else {
			values[name] = text.text(e)
		}
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(values); err != nil {
		panic(err) // a map of strings, numbers and null
	}
	return []byte(out.String())
}

var errArguments = errors.New("takes no arguments")

// newOperator returns an operator by its name. parenthesis says that there are arguments, which may be empty; length is empty, or
// where the value is cut.
func newOperator(name string, parenthesis bool, arguments, length string) (operator, error) {
	if op, ok := plain[name]; ok {
		if parenthesis || length != "" {
			return nil, errArguments
		}
		return op, nil
	}
	if header, ok := headers[name]; ok {
		return newHeaderOperator(header, arguments, length)
	}
	if length != "" {
		return nil, errors.New("takes no length")
	}
	switch name {
	case "START_TIME":
		return newTimeOperator(arguments)
	case "RESPONSE_CODE_DETAILS":
		return newDetailsOperator(arguments)
	}
	return nil, errors.New("isn't executed")
}
