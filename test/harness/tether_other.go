//go:build !linux

package harness

import "os/exec"

// launch starts a process; only Linux can tie its life to the test's.
func launch(cmd *exec.Cmd) error { return cmd.Start() }
