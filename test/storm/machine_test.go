//go:build !race

package storm_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// machine says what the figures of a run hang on beside the program: how busy the machine
// was before, and what a page of memory costs. Where the kernel of a virtual machine has
// its page tables watched by another, that is a hundred times what it is elsewhere, and
// most of what it takes to start a process.
func machine() string {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	return fmt.Sprintf("load of the machine before (1, 5, 15 minutes): %.14s; a page fault takes %.2f us", strings.TrimSpace(string(load)), float64(pageFault())/1000)
}

// pageFault is the processor time that a page takes when it is first touched; 0 where the
// system gives none.
func pageFault() time.Duration {
	const size, page = 16 << 20, 4096
	p, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return 0
	}
	defer func() { _ = syscall.Munmap(p) }()
	before := used()
	for i := 0; i < size; i += page {
		p[i] = 1
	}
	return (used() - before) / (size / page)
}
