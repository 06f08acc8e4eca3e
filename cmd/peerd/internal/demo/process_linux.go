package demo

import "syscall"

// childAttributes gives a daemon a process group of its own, so that Ctrl-C
// reaches the demonstration alone, and kills it should the demonstration die.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
