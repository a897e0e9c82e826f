package tracefs

import (
	"strings"

	"emukp/kernel"
)

// digits reads an unsigned number as far as it goes; base 0 is by prefix: 0x, 0
// or none (lib/kstrtox.c _parse_integer_fixup_radix, _parse_integer). n is the
// number of digits read, without the prefix.
func digits(s string, base uint64) (v uint64, n int, rest string, overflow bool) {
	hex := len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' && digit(s[2]) < 16
	switch {
	case base == 0 && hex:
		base = 16
	case base == 0 && strings.HasPrefix(s, "0"):
		base = 8
	case base == 0:
		base = 10
	}
	if base == 16 && hex {
		s = s[2:]
	}
	for n < len(s) && digit(s[n]) < base {
		if v > (1<<64-1-digit(s[n]))/base {
			overflow = true
		}
		v = v*base + digit(s[n])
		n++
	}
	return v, n, s[n:], overflow
}

// digit is the value of a digit, or more than any base.
func digit(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return uint64(c|0x20-'a') + 10
	}
	return 99
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// kstrtoul takes a whole string, with a plus sign or none. The code is 0, EINVAL
// or ERANGE.
func kstrtoul(s string, base uint64) (uint64, kernel.Errno) {
	s, _ = strings.CutPrefix(s, "+")
	v, n, rest, overflow := digits(s, base)
	switch {
	case overflow:
		return 0, kernel.ERANGE
	case n == 0 || rest != "":
		return 0, kernel.EINVAL
	}
	return v, 0
}

// kstrtol takes a sign too.
func kstrtol(s string, base uint64) (int64, kernel.Errno) {
	if rest, minus := strings.CutPrefix(s, "-"); minus {
		if strings.HasPrefix(rest, "+") {
			return 0, kernel.EINVAL
		}
		v, errno := kstrtoul(rest, base)
		if errno == 0 && v > 1<<63 {
			errno = kernel.ERANGE
		}
		return -int64(v), errno
	}
	v, errno := kstrtoul(s, base)
	if errno == 0 && v >= 1<<63 {
		errno = kernel.ERANGE
	}
	return int64(v), errno
}

// goodName is is_good_name: a C identifier.
func goodName(s string) bool { return identifier(s, "") }

// goodSystemName is is_good_system_name, for groups: a hyphen is allowed.
func goodSystemName(s string) bool { return identifier(s, "-") }

func identifier(s, more string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || strings.IndexByte(more, c) >= 0 || i > 0 && isDigit(c)) {
			return false
		}
	}
	return s != ""
}
