package insnverify

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"emukp/emu/x86"
)

// Lengths is how the decoder's lengths compare with another one's.
type Lengths struct {
	Against    string     `json:"against"`    // "objdump (2.40)", or "x86asm"
	Compared   int        `json:"compared"`   // instructions that the other one decodes
	Leftovers  int        `json:"leftovers"`  // lines that are no instruction: lone prefixes, (bad), .byte
	Mismatches int        `json:"mismatches"` // of those compared
	Listed     []Mismatch `json:"listed"`     // the first of them
}

// A Mismatch is one instruction whose length is in doubt.
type Mismatch struct {
	Addr  uint64 `json:"addr"`
	Bytes string `json:"bytes"`
	Want  int    `json:"want"`
	Got   int    `json:"got"` // 0: refused
	Text  string `json:"text"`
}

// maxListed bounds every list of places in a report; counts are complete.
const maxListed = 20

func (l *Lengths) mismatch(m Mismatch) {
	l.Mismatches++
	if len(l.Listed) < maxListed {
		l.Listed = append(l.Listed, m)
	}
}

// CompareLengths decodes what GNU objdump takes for instructions and compares the lengths. Without objdump it walks
// the text itself and compares with x86asm, where that decodes.
func CompareLengths(ctx context.Context, b *Binary) (*Lengths, error) {
	bin, err := exec.LookPath("objdump")
	if err != nil {
		return compareX86asm(ctx, b), ctx.Err()
	}
	l := &Lengths{Against: objdumpVersion(ctx, bin)}
	args := []string{"-d", "-w", "-z", b.Name}
	if b.Bits == 64 {
		args = append([]string{"-M", "intel64"}, args...) // 66 before a near branch: as Intel reads it
	}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("objdump: %w", err)
	}
	err = l.read(out, b.Bits)
	if werr := cmd.Wait(); ctx.Err() != nil {
		return nil, ctx.Err()
	} else if err == nil && werr != nil {
		err = fmt.Errorf("objdump: %w: %s", werr, strings.TrimSpace(stderr.String()))
	}
	return l, err
}

func objdumpVersion(ctx context.Context, bin string) string {
	out, err := exec.CommandContext(ctx, bin, "--version").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	if f := strings.Fields(line); err == nil && len(f) > 0 {
		return "objdump (" + f[len(f)-1] + ")"
	}
	return "objdump"
}

func (l *Lengths) read(out io.Reader, bits int) error {
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f := strings.SplitN(sc.Text(), "\t", 3)
		if len(f) < 2 {
			continue
		}
		addr, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(f[0]), ":"), 16, 64)
		if err != nil {
			continue
		}
		code, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(f[1]), " ", ""))
		if err != nil {
			return fmt.Errorf("objdump: a line that can't be read: %s", sc.Text())
		}
		text := ""
		if len(f) == 3 {
			text = strings.TrimSpace(f[2])
		}
		l.line(addr, code, text, bits)
	}
	return sc.Err()
}

// line judges one line. objdump makes one of fwait and the x87 instruction behind it, and one of prefixes that it
// finds no use for.
func (l *Lengths) line(addr uint64, code []byte, text string, bits int) {
	if text == "" || strings.Contains(text, "(bad)") || strings.HasPrefix(text, ".byte") || prefixesOnly(code, bits) {
		l.Leftovers++
		return
	}
	l.Compared++
	want := len(code)
	if code[0] == 0x9b && want > 1 {
		code, addr, want = code[1:], addr+1, want-1
	}
	got := 0
	if in, err := x86.Decode(code, bits); err == nil {
		got = in.Len
	}
	if got != want {
		l.mismatch(Mismatch{addr, hex.EncodeToString(code), want, got, text})
	}
}

func prefixesOnly(code []byte, bits int) bool {
	for _, b := range code {
		if strings.IndexByte("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", b) < 0 && (bits != 64 || b&0xf0 != 0x40) {
			return false
		}
	}
	return true
}

func compareX86asm(ctx context.Context, b *Binary) *Lengths {
	l := &Lengths{Against: "x86asm"}
	b.walk(func(p place) bool {
		a, err := x86asm.Decode(p.code, b.Bits)
		switch {
		case err != nil || x86asmWrong(&p.insn, a):
			l.Leftovers++
		case p.err != nil && !errors.Is(p.err, x86.ErrUndefined), p.err == nil:
			l.Compared++
			if got := p.insn.Len; p.err != nil || got != a.Len {
				l.mismatch(Mismatch{p.addr, hex.EncodeToString(p.code[:a.Len]), a.Len, got, a.String()})
			}
		}
		return ctx.Err() == nil
	})
	return l
}

// x86asmWrong says that x86asm v0.32.0 is known to have another length: a prefix that it takes for the whole, and
// vzeroupper.
func x86asmWrong(in *x86.Insn, a x86asm.Inst) bool {
	return a.Op == 0 || a.Op == x86asm.VZEROUPPER || a.Op == x86asm.VZEROALL || in.VEX == x86.EVEX ||
		in.Map == x86.Map0F && in.VEX == x86.NoVEX && in.Opcode >= 0x20 && in.Opcode <= 0x26
}
