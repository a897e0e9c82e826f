package lang

// errnos are Linux's error numbers (include/uapi/asm-generic/errno-base.h,
// errno.h; include/linux/errno.h for those above 511).
var errnos = map[string]int{
	"EPERM": 1, "ENOENT": 2, "ESRCH": 3, "EINTR": 4, "EIO": 5, "ENXIO": 6, "E2BIG": 7, "ENOEXEC": 8,
	"EBADF": 9, "ECHILD": 10, "EAGAIN": 11, "EWOULDBLOCK": 11, "ENOMEM": 12, "EACCES": 13, "EFAULT": 14,
	"ENOTBLK": 15, "EBUSY": 16, "EEXIST": 17, "EXDEV": 18, "ENODEV": 19, "ENOTDIR": 20, "EISDIR": 21,
	"EINVAL": 22, "ENFILE": 23, "EMFILE": 24, "ENOTTY": 25, "ETXTBSY": 26, "EFBIG": 27, "ENOSPC": 28,
	"ESPIPE": 29, "EROFS": 30, "EMLINK": 31, "EPIPE": 32, "EDOM": 33, "ERANGE": 34, "EDEADLK": 35,
	"ENAMETOOLONG": 36, "ENOLCK": 37, "ENOSYS": 38, "ENOTEMPTY": 39, "ELOOP": 40, "ENOMSG": 42, "EIDRM": 43,
	"ENOSTR": 60, "ENODATA": 61, "ETIME": 62, "EPROTO": 71, "EBADMSG": 74, "EOVERFLOW": 75, "EILSEQ": 84,
	"ERESTART": 85, "EUSERS": 87, "ENOTSOCK": 88, "EMSGSIZE": 90, "ENOPROTOOPT": 92, "EPROTONOSUPPORT": 93,
	"EOPNOTSUPP": 95, "EADDRINUSE": 98, "EADDRNOTAVAIL": 99, "ENOBUFS": 105, "ETIMEDOUT": 110,
	"EALREADY": 114, "EINPROGRESS": 115, "ESTALE": 116, "ECANCELED": 125, "ENOKEY": 126, "EKEYREJECTED": 129,
	"EOWNERDEAD": 130, "ENOTRECOVERABLE": 131, "ERFKILL": 132, "EHWPOISON": 133,
	"ERESTARTSYS": 512, "ERESTARTNOINTR": 513, "ENOTSUPP": 524,
}

// Errno finds an error number by its name, such as EINVAL.
func Errno(name string) (int, bool) {
	n, ok := errnos[name]
	return n, ok
}

// ErrnoName finds the name of an error number, or returns "".
func ErrnoName(n int) string {
	best := ""
	for name, v := range errnos {
		if v == n && (best == "" || name < best) { // EAGAIN, not EWOULDBLOCK
			best = name
		}
	}
	return best
}
