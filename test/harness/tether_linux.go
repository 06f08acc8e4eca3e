package harness

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starts are handed to the one thread that starts processes. The kernel ends
// them with that thread, so that nothing is left running of a test that was
// itself killed or ran out of time.
var starts = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread() // never unlocked: it lives as long as the tests
		for f := range work {
			f()
		}
	}()
	return work
})

// launch starts a process that does not outlive the test.
func launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	starts() <- func() { result <- cmd.Start() }
	return <-result
}
