package retired

import (
	"strconv"
	"strings"
)

// deepest bounds how many steps of a pointer count. No retired field is as deep, and a pointer can have millions.
const deepest = 32

// NamedIn returns the retired fields that an operation of a JSON patch (RFC 6902) touches: those at its pointer, on the
// way to it, and in the value that it sets there. A JSON patch is about the object as it is stored, which has none.
func (fs Fields) NamedIn(pointer string, value any) []*Field {
	if value == nil {
		value = map[string]any{} // removed, tested or copied: what it is doesn't matter
	}
	doc := value
	keys := strings.SplitN(pointer, "/", deepest) // the rest, unsplit, is no field's name
	for i := len(keys) - 1; i > 0; i-- {
		key := strings.NewReplacer("~1", "/", "~0", "~").Replace(keys[i])
		if _, err := strconv.Atoi(key); err == nil || key == "-" { // -1 is the last one
			doc = []any{doc}
		} else {
			doc = map[string]any{key: doc}
		}
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil
	}
	result, _ := fs.Rewrite(object, Object)
	var named []*Field
	for _, use := range result.Uses {
		named = append(named, use.Field)
	}
	return named
}
