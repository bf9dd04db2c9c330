// Package manifests keeps an API server at what the YAML and JSON files in some directories say, at the start and
// whenever they change.
//
// What a directory is: the files with the suffixes .yaml, .yml and .json right in it, as for kubectl apply -f DIR.
// Folders in it and files whose names start with a dot are not read. Symbolic links are followed, so that a directory
// may be a mounted ConfigMap.
//
// Every document is applied server-side and with force: for the fields that it sets, the file is the truth. It is applied
// again when its text changes, not when somebody changes the object. A document that is refused leaves its object as
// it was, and is reported once, until that changes.
//
// An object whose document went away is deleted. Its one invariant: nothing is deleted unless the follower made it, its
// directory can be read in full, every document everywhere could be applied, and all that stayed so for a while. An
// object that was there before its first document is updated, and never deleted. What the follower made carries the
// annotation [Annotation], so that deletions don't depend on this process's memory.
package manifests
