package graphtest

// choices turns bytes into decisions. Once they run out, every decision is the first.
type choices struct{ data []byte }

func (c *choices) n(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

func (c *choices) flip(oneIn int) bool { return c.n(oneIn) == oneIn-1 }

func pick[T any](c *choices, from ...T) T { return from[c.n(len(from))] }

// maybe returns nil half of the time.
func maybe[T any](c *choices, from ...T) *T {
	if c.n(2) == 0 {
		return nil
	}
	return new(pick(c, from...))
}

// some returns between least and most values.
func some[T any](c *choices, least, most int, value func() T) []T {
	var list []T
	for range least + c.n(most-least+1) {
		list = append(list, value())
	}
	return list
}
