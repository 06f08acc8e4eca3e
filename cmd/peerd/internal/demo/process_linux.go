package demo

import "syscall"

// childAttributes gives a daemon a process group of its own, so that Ctrl-C
// reaches the demonstration alone, and kills it should the demonstration die.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// goAhead puts what this thread starts ahead of the machine's other work, as
// far as this user may: what is to be judged is the phone, not what else runs.
func goAhead() {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, -10) // without the right to it, as it is
}
