//go:build cgo

package main

// Timers of this process may be a millisecond late, so that the kernel
// wakes it once where it would twice. Go's runtime otherwise polls every 20 us
// whenever sound goes through C, a quarter of what a call costs; see
// docs/decisions/0026-timer-slack.md.

/*
#include <sys/prctl.h>

// Runs before the Go runtime makes its threads, which inherit the setting.
__attribute__((constructor)) static void relax_timers(void) {
	prctl(PR_SET_TIMERSLACK, 1000000UL, 0UL, 0UL, 0UL);
}
*/
import "C"
