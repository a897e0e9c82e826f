package kernel

import "fmt"

// String reads a NUL-terminated string of at most max bytes, as far as memory
// is mapped.
func (c *CPU) String(addr uint64, max int) string {
	var out []byte
	var b [1]byte
	for len(out) < max && c.V.Read(addr+uint64(len(out)), b[:]) == nil && b[0] != 0 {
		out = append(out, b[0])
	}
	return string(out)
}

// CopyFromUser reads user memory through the guest's own
// copy_from_user_inatomic, so that a fault in it is a real fault: taken by the
// page-fault gate, seen by the die chain, fixed up by the exception table.
// It returns the bytes that were not copied.
func (c *CPU) CopyFromUser(buf []byte, from uint64) (left uint64, err error) {
	fn, ok := c.K.Syms.Lookup("copy_from_user_inatomic")
	if !ok {
		return uint64(len(buf)), ENOSYS
	}
	to, err := c.bounce(len(buf))
	if err != nil {
		return uint64(len(buf)), err
	}
	left, err = c.Call(fn, to, from, uint64(len(buf)))
	if err != nil {
		return uint64(len(buf)), err
	}
	return left, c.V.Read(to, buf)
}

// bounceSize is the largest CopyFromUser.
const bounceSize = 4096

// bounce is kernel memory of this CPU for one copy at a time and depth.
func (c *CPU) bounce(n int) (uint64, error) {
	if n > bounceSize {
		return 0, fmt.Errorf("copy of %d bytes: at most %d at a time", n, bounceSize)
	}
	for len(c.bounces) <= c.depth {
		pa, err := c.K.M.AllocFrames(1, 0)
		if err != nil {
			return 0, err
		}
		c.bounces = append(c.bounces, pa-physBase+PageOffset)
	}
	return c.bounces[c.depth], nil
}
