package graph

// What nodes say of what they were given is no business of the graph: these facts are nil in its answers, and filled in by
// whoever hears the nodes before the facts are rendered.

// RejectionFacts says that nodes have rejected configuration that was made of an object, or of a part of it.
type RejectionFacts struct {
	// Nodes is how many have, or how many of them have been counted if there are More.
	Nodes int
	More  bool
	// Message is what one of them said.
	Message string
}

// DeliveryFacts is how far the nodes of a Gateway have come, of which there may be none.
type DeliveryFacts struct {
	// Nodes is how many are connected, but for those that have just connected, Current how many of them have acknowledged all that is
	// published for them, and Rejecting how many have rejected some of it.
	Nodes, Current, Rejecting int
	// Outdated says that something else has been published since the nodes were last heard of. Nothing is known of it but its Version,
	// which is that of the scope in the xDS cache.
	Outdated bool
	Version  string
	// Late says that a node hasn't been current for longer than it takes one that has just connected.
	Late bool
	// Proven says that nothing is stored that isn't published, so that what all nodes have is all that there is.
	Proven bool
}

// Complete says that there are nodes, and all have what is published.
func (d *DeliveryFacts) Complete() bool {
	return d.Nodes > 0 && d.Current == d.Nodes && d.Rejecting == 0
}
