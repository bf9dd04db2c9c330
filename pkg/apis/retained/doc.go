// Package retained keeps what one version of a kind can express and another can't, so that converting an object back
// and forth loses nothing. What is lost goes into an annotation of the converted object: the whole spec that it was
// converted from. It comes back, part by part, if what the annotated object shows of it says nothing else; a part that
// depends on something that was changed since is gone, as what it says may not fit any more (names that a certificate
// may have, once another host name is asked for).
//
// The two directions are the same. An object in an older version carries what is left of its hub, and a hub what is
// left of an older version. An annotation is removed where it has been made use of, so that neither piles up.
//
// Clients see the annotation and can write it. It is never more than a way of saying what they could say in the other
// version: content that is no JSON, too long or of another kind is ignored without an error, and who takes a converted
// object has to validate all of it ([Hidden]). It belongs to no field manager.
//
// The one invariant: with unchanged annotations, converting there and back is the identity.
package retained
