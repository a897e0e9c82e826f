// SPDX-License-Identifier: GPL-2.0
package guestimg

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Workshops are the directories in which compilers are at work, so that a
// program which must exit at once can end them.
type Workshops struct {
	mu     sync.Mutex
	dirs   map[string]int // the process group at work, or 0
	closed bool
}

// NewWorkshops makes an empty set.
func NewWorkshops() *Workshops { return &Workshops{dirs: map[string]int{}} }

// Close ends all compilers and removes their directories. No build of the set
// works after it.
func (ws *Workshops) Close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.closed = true
	for dir, pid := range ws.dirs {
		if pid > 0 {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
		_ = os.RemoveAll(dir)
	}
}

func (ws *Workshops) makeDir() (string, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return "", context.Canceled
	}
	dir, err := os.MkdirTemp("", "emukp-cc-")
	if err == nil {
		ws.dirs[dir] = 0
	}
	return dir, err
}

func (ws *Workshops) forget(dir string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.dirs, dir)
}

// await runs a command in a directory; Close may end it.
func (ws *Workshops) await(dir string, cmd *exec.Cmd) error {
	if err := ws.start(dir, cmd); err != nil {
		return err
	}
	err := cmd.Wait()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, ok := ws.dirs[dir]; ok {
		ws.dirs[dir] = 0
	}
	return err
}

func (ws *Workshops) start(dir string, cmd *exec.Cmd) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return context.Canceled
	}
	err := cmd.Start()
	if err == nil {
		ws.dirs[dir] = cmd.Process.Pid
	}
	return err
}
