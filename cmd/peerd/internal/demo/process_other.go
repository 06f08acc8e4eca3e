//go:build !linux

package demo

import "syscall"

// childAttributes gives a daemon a process group of its own, so that Ctrl-C
// reaches the demonstration alone.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// goAhead would put the daemons ahead of other work; here they take their turn.
func goAhead() {}
