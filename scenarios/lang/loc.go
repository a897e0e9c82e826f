package lang

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const aLoc = "symbol, symbol+0x10, MODULE:symbol or an address"

var symbolSyntax = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*:)?[A-Za-z_.$][A-Za-z0-9_.$]*$`)

// ParseLoc reads symbol, symbol+offset or an address; numbers are decimal or 0x.
// A symbol may be one module's, MODULE:symbol.
func ParseLoc(text string) (Loc, error) {
	symbol, offset, plus := strings.Cut(text, "+")
	if !plus && text != "" && text[0] >= '0' && text[0] <= '9' {
		addr, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return Loc{}, fmt.Errorf("expected an address, got %q", text)
		}
		return Loc{Addr: addr}, nil
	}
	if !symbolSyntax.MatchString(symbol) {
		return Loc{}, fmt.Errorf("expected %s, got %q", aLoc, text)
	}
	loc := Loc{Symbol: symbol}
	if plus {
		v, err := strconv.ParseUint(offset, 0, 64)
		if err != nil {
			return Loc{}, fmt.Errorf("expected a number after '+', got %q", offset)
		}
		loc.Offset = v
	}
	return loc, nil
}

// String is the LOC as a scenario would spell it.
func (l Loc) String() string {
	switch {
	case l.Symbol == "":
		return fmt.Sprintf("%#x", l.Addr)
	case l.Offset == 0:
		return l.Symbol
	}
	return fmt.Sprintf("%s+%#x", l.Symbol, l.Offset)
}

func (p *parser) loc(n *node) Loc {
	if n == nil {
		return Loc{} // missing, and reported
	}
	text, ok := p.str(n, aLoc)
	if !ok {
		return Loc{}
	}
	loc, err := ParseLoc(text)
	if err != nil {
		p.fail(n.pos, "", "%v", err)
	}
	loc.Pos = n.pos
	return loc
}
