package lang

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

const (
	maxVar   = 64 << 10 // bytes of a variable
	maxValue = 1 << 20  // bytes of an expression's value
	maxShown = 200      // characters of a value that people see
)

// FitsVar refuses values that are too large for a variable.
func FitsVar(v starlark.Value) error {
	if !fits(v, maxVar) {
		return fmt.Errorf("the value is larger than a variable may be (limit %d bytes)", maxVar)
	}
	return nil
}

// fits says whether a value, spelled out, has at most limit bytes. What stands
// in it twice counts twice; the work is bounded by the limit.
func fits(v starlark.Value, limit int) bool {
	return sizeLeft(v, limit) >= 0
}

// sizeLeft is what a value leaves of the budget, negative when it is too
// large. Each value takes some of it, so that cycles end too.
func sizeLeft(v starlark.Value, left int) int {
	left -= 8
	switch v := v.(type) {
	case starlark.String:
		return left - len(v)
	case starlark.Bytes:
		return left - len(v)
	case starlark.Int:
		return left - v.BigInt().BitLen()/8
	case *starlark.List:
		for i := 0; i < v.Len() && left >= 0; i++ {
			left = sizeLeft(v.Index(i), left)
		}
	case starlark.Tuple:
		for i := 0; i < len(v) && left >= 0; i++ {
			left = sizeLeft(v[i], left)
		}
	case *starlark.Dict:
		if v.Len() > left {
			return -1
		}
		for _, kv := range v.Items() {
			if left < 0 {
				break
			}
			left = sizeLeft(kv[1], sizeLeft(kv[0], left))
		}
	case starlark.Sequence: // range, set
		return left - 8*v.Len()
	}
	return left
}

// shortString is a value as Starlark prints it, or enough of its beginning.
func shortString(v starlark.Value) string {
	if fits(v, maxVar) {
		return v.String()
	}
	var b strings.Builder
	printShort(&b, v)
	return b.String()
}

func printShort(b *strings.Builder, v starlark.Value) {
	const enough = 4 * maxShown // bytes
	list := func(open, end string, n int, item func(int)) {
		b.WriteString(open)
		for i := 0; i < n && b.Len() <= enough; i++ {
			if i > 0 {
				b.WriteString(", ")
			}
			item(i)
		}
		b.WriteString(end)
	}
	switch v := v.(type) {
	case starlark.String:
		b.WriteString(v[:min(len(v), enough)].String())
	case starlark.Bytes:
		b.WriteString(v[:min(len(v), enough)].String())
	case starlark.Int:
		b.WriteString(FormatValue(v))
	case *starlark.List:
		list("[", "]", v.Len(), func(i int) { printShort(b, v.Index(i)) })
	case starlark.Tuple:
		list("(", ")", len(v), func(i int) { printShort(b, v[i]) })
	case *starlark.Dict:
		items := v.Items()
		list("{", "}", len(items), func(i int) {
			printShort(b, items[i][0])
			b.WriteString(": ")
			printShort(b, items[i][1])
		})
	default:
		b.WriteString(v.String()) // range: short
	}
}
