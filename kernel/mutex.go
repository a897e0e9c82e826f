package kernel

// A Mutex is held across points at which other CPUs run. The zero value is
// unlocked.
type Mutex struct {
	Name  string
	owner *CPU
}

// Lock waits for the mutex. Where the CPU must not sleep, in a handler, it
// fails with EBUSY instead when somebody holds it; a kernel would print
// "sleeping function called from invalid context".
func (m *Mutex) Lock(c *CPU) error {
	if m.owner != nil && (c.Atomic() || m.owner == c) {
		return EBUSY
	}
	c.WaitFor(m.Name, func() bool { return m.owner == nil })
	m.owner = c
	return nil
}

// Unlock gives it back.
func (m *Mutex) Unlock() { m.owner = nil }
