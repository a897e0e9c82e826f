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
	"syscall"
	"time"

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
	// Vacuous says why nothing could be compared, where the decoder finds instructions.
	Vacuous string `json:"vacuous,omitempty"`
}

// OK says that all lengths are the same, and that there were some.
func (l *Lengths) OK() bool { return l.Mismatches == 0 && l.Vacuous == "" }

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
		l := compareX86asm(ctx, b)
		l.vacuous(b)
		return l, ctx.Err()
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, objdumpTime)
	defer cancel()
	l := &Lengths{Against: objdumpVersion(ctx, bin)}
	args := []string{"-d", "-w", "-z", "--", b.Name}
	if b.Bits == 64 {
		args = append([]string{"-M", "intel64"}, args...) // 66 before a near branch: as Intel reads it
	}
	cmd := objdump(ctx, bin, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: objdump: %w", b.Name, err)
	}
	err = l.read(out, b.Bits)
	werr := cmd.Wait()
	switch {
	case outer.Err() != nil:
		return nil, outer.Err()
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: objdump has not ended after %s", b.Name, objdumpTime)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", b.Name, err)
	case werr != nil:
		return nil, fmt.Errorf("%s: objdump: %w: %s", b.Name, werr, strings.TrimSpace(stderr.String()))
	}
	l.vacuous(b)
	return l, nil
}

// objdumpTime is the most that objdump may take for one file: a kernel's image takes it two minutes on a loaded machine.
var objdumpTime = 20 * time.Minute

// objdump is a process that ends with ctx, its children too.
func objdump(ctx context.Context, bin string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func objdumpVersion(ctx context.Context, bin string) string {
	out, err := objdump(ctx, bin, "--version").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	if f := strings.Fields(line); err == nil && len(f) > 0 {
		return "objdump (" + f[len(f)-1] + ")"
	}
	return "objdump"
}

// vacuous notices that there are instructions, and none of them was compared.
func (l *Lengths) vacuous(b *Binary) {
	if l.Compared > 0 {
		return
	}
	decodes := false
	b.walk(func(p place) bool {
		decodes = p.err == nil
		return !decodes
	})
	switch {
	case !decodes:
	case b.noSections:
		l.Vacuous = "the file has no section headers, by which objdump finds code"
	default:
		l.Vacuous = "the other decoder takes none of it for an instruction"
	}
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

// line judges one line. objdump makes one of fwait, with prefixes or without, and the x87 instruction behind it, and one of
// prefixes that it finds no use for.
func (l *Lengths) line(addr uint64, code []byte, text string, bits int) {
	if text == "" || strings.Contains(text, "(bad)") || strings.HasPrefix(text, ".byte") || prefixesOnly(code, bits) {
		l.Leftovers++
		return
	}
	l.Compared++
	if n := fwaitLen(code, bits); n > 0 && n < len(code) {
		if got := decodedLen(code, bits); got != n {
			l.mismatch(Mismatch{addr, hex.EncodeToString(code), n, got, text})
			return
		}
		code, addr = code[n:], addr+uint64(n)
	}
	if got := decodedLen(code, bits); got != len(code) {
		l.mismatch(Mismatch{addr, hex.EncodeToString(code), len(code), got, text})
	}
}

func decodedLen(code []byte, bits int) int {
	in, err := x86.Decode(code, bits)
	if err != nil {
		return 0
	}
	return in.Len
}

// fwaitLen is the length of an fwait with its prefixes, 0 if code starts with something else.
func fwaitLen(code []byte, bits int) int {
	for i := range code {
		if code[i] == 0x9b && prefixesOnly(code[:i], bits) {
			return i + 1
		}
	}
	return 0
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
