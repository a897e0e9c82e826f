package kernel

import (
	"fmt"
	"strconv"
)

// An Errno is an error code of the kernel; functions return it where the
// kernel returns -ENAME.
type Errno int

// Error codes (include/uapi/asm-generic/errno*.h).
const (
	EPERM         Errno = 1
	ENOENT        Errno = 2
	ESRCH         Errno = 3
	EINTR         Errno = 4
	EIO           Errno = 5
	E2BIG         Errno = 7
	ENOEXEC       Errno = 8
	EAGAIN        Errno = 11
	EWOULDBLOCK   Errno = EAGAIN
	ENOMEM        Errno = 12
	EFAULT        Errno = 14
	EBUSY         Errno = 16
	EEXIST        Errno = 17
	ENODEV        Errno = 19
	EINVAL        Errno = 22
	ENOSPC        Errno = 28
	ERANGE        Errno = 34
	ENOSYS        Errno = 38
	EILSEQ        Errno = 84
	EOPNOTSUPP    Errno = 95
	EADDRNOTAVAIL Errno = 99
	ETIMEDOUT     Errno = 110
)

var errnoNames = map[Errno]string{
	EPERM: "EPERM", ENOENT: "ENOENT", ESRCH: "ESRCH", EINTR: "EINTR", EIO: "EIO", E2BIG: "E2BIG", ENOEXEC: "ENOEXEC", EAGAIN: "EAGAIN",
	ENOMEM: "ENOMEM", EFAULT: "EFAULT", EBUSY: "EBUSY", EEXIST: "EEXIST", ENODEV: "ENODEV",
	EINVAL: "EINVAL", ENOSPC: "ENOSPC", ERANGE: "ERANGE", ENOSYS: "ENOSYS", EILSEQ: "EILSEQ",
	EOPNOTSUPP: "EOPNOTSUPP", EADDRNOTAVAIL: "EADDRNOTAVAIL", ETIMEDOUT: "ETIMEDOUT",
}

// Error is the name with its sign, as the kernel's sources have it: "-EINVAL".
func (e Errno) Error() string {
	if n, ok := errnoNames[e]; ok {
		return "-" + n
	}
	return "-" + strconv.Itoa(int(e))
}

// ErrnoByName finds a code by its name, "EINVAL".
func ErrnoByName(name string) (Errno, bool) {
	for e, n := range errnoNames {
		if n == name {
			return e, true
		}
	}
	return 0, false
}

// ErrnoNames are the names of all codes with their numbers.
func ErrnoNames() map[string]int {
	all := make(map[string]int, len(errnoNames))
	for e, n := range errnoNames {
		all[n] = int(e)
	}
	return all
}

// An OpError is an error code with what was refused and why.
type OpError struct {
	Op    string // "register_kprobe"
	Place string // symbol+offset
	Why   string
	Errno Errno
}

func (e *OpError) Error() string {
	return fmt.Sprintf("%s %s: %s (%v)", e.Op, e.Place, e.Why, e.Errno)
}

// Unwrap gives errors.Is the code.
func (e *OpError) Unwrap() error { return e.Errno }
