//go:build race

package harness

// race says that this test has the race detector; the program gets it too.
const race = true
