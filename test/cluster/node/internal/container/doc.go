// Package container runs processes in containers. Its functions Command and ExecCommand are for the node; Run and Exec are
// for containerinit, the program that these commands start, which becomes the container's first process, or joins a
// container.
//
// Its one invariant: a process that runs has all that its Config says. Whatever fails before ends with exit code 128 and
// says what failed to stderr.
package container
