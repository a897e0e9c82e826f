package insn

import "emukp/emu/x86"

// Reasons that several rows share.
var (
	allowed   = Verdict{}
	notProbed = Verdict{"EINVAL", "a breakpoint of another subsystem"}
	masksTrap = Verdict{"EINVAL", "holds the step trap back until after the next instruction"}
	inKernel  = Verdict{"EOPNOTSUPP", "a system call in the kernel: what it saves is the slot's, and no step trap follows"}
	tsx       = Verdict{"EOPNOTSUPP", "an abort would resume relative to the slot, and any trap aborts"}
	noOpcode  = Verdict{"EILSEQ", "undefined opcode"}
	noDecode  = Verdict{"EILSEQ", "does not decode"}
	noFar     = Verdict{"EOPNOTSUPP", "far branch: not emulated"}
	noMemory  = Verdict{"EOPNOTSUPP", "indirect branch through memory, or with another address size: not emulated"}
	noIret    = Verdict{"EOPNOTSUPP", "iret in the kernel: not emulated"}
	noVM      = Verdict{"EOPNOTSUPP", "VM extension"}
	noCopy    = Verdict{"EINVAL", "cannot be copied"}
)

const (
	opSize, addrSize = x86.PrefixOpSize, x86.PrefixAddrSize
	repPrefixes      = x86.PrefixRep | x86.PrefixRepne
)

// undecodable stands for what Decode gives no instruction for (truncated, too long). It is the last row.
const undecodable = "undecodable"

// classes is the table. The first row that matches counts, so special members stand before their group.
var classes = []Class{
	// Traps.
	{Name: "int3", Opcodes: "cc", Fixup: AbsIP | NoTrap, Classic: notProbed, Modern: notProbed,
		Note: "2.6.21 stepped it in place", match: []match{one(0xcc, 0xcc)}},
	{Name: "int n", Opcodes: "cd ib", Fixup: AbsIP | NoTrap, match: []match{one(0xcd, 0xcd)},
		Note: "since e884edbb844f (2024) -EILSEQ (is_exception_insn)"},
	{Name: "into", Opcodes: "ce", Fixup: FixIP | NoTrap, match: []match{one(0xce, 0xce)},
		Note: "traps when OF is set, otherwise steps like any other; since e884edbb844f -EILSEQ"},
	{Name: "int1", Opcodes: "f1", Fixup: AbsIP | NoTrap, match: []match{one(0xf1, 0xf1)},
		Note: "enters #DB by itself; since e884edbb844f -EILSEQ"},
	{Name: "ud", Opcodes: "0f 0b, 0f b9 /r, 0f ff /r", Fixup: FixIP,
		match: []match{two(0x0b, 0x0b), two(0xb9, 0xb9), two(0xff, 0xff)},
		Note:  "always #UD, reported at the probed address; since e884edbb844f -EILSEQ"},
	{Name: "hlt, mwait", Opcodes: "f4, 0f 01 c9, 0f 01 fb", Fixup: FixIP | Waits,
		match: []match{one(0xf4, 0xf4), two(0x01, 0x01).is(0xc9), two(0x01, 0x01).is(0xfb)},
		Note:  "with a post-handler it is stepped, and the step trap ends the wait at once"},

	// Segment loads that hold a trap back.
	{Name: "mov ss", Opcodes: "8e /2", Fixup: FixIP | Shadow, Modern: masksTrap,
		match: []match{one(0x8e, 0x8e).ext(2)}, Note: "2.6.21 stepped it alone, and ran one instruction too far, in the slot"},
	{Name: "pop ss", Opcodes: "17", Fixup: FixIP | Shadow, Modern: masksTrap,
		match: []match{one(0x17, 0x17)}},

	// Branches relative to ip.
	{Name: "66 call", Opcodes: "66 with e8 in 64-bit mode", Fixup: FixIP | FixRet | Wraps16, match: wide66(one(0xe8, 0xe8)),
		Note: "Intel ignores the 66, AMD takes 16 bits: the copy does what the processor does; 6.1 emulates it as if there were none"},
	{Name: "66 call indirect", Opcodes: "66 with ff /2 in 64-bit mode", Fixup: AbsIP | FixRet | Wraps16,
		match: wide66(one(0xff, 0xff).ext(2)), Note: "as 66 call"},
	{Name: "66 branch", Opcodes: "66 with e9, eb, 70+cc, 0f 80+cc, e0-e3 in 64-bit mode", Fixup: FixIP | Wraps16,
		match: wide66(one(0xe9, 0xe9), one(0xeb, 0xeb), one(0x70, 0x7f), two(0x80, 0x8f), one(0xe0, 0xe3)),
		Note:  "as 66 call; uprobes refuses it (branch_setup_xol_ops)"},
	{Name: "66 ret, jmp", Opcodes: "66 with c2, c3, ff /4 register in 64-bit mode", Fixup: AbsIP, Boost: true,
		match: wide66(one(0xc2, 0xc3), one(0xff, 0xff).ext(4).register().without(addrSize)), Note: "as 66 call"},
	{Name: "call", Opcodes: "e8 cd", Fixup: FixIP | FixRet, Emulate: EmulateCall, match: []match{one(0xe8, 0xe8)},
		Note: "6.1 pushes address+5 whatever the length"},
	{Name: "jmp", Opcodes: "e9 cd, eb cb", Fixup: FixIP, Emulate: EmulateJmp,
		match: []match{one(0xe9, 0xe9), one(0xeb, 0xeb)}},
	{Name: "jcc", Opcodes: "70+cc cb, 0f 80+cc cd", Fixup: FixIP, Emulate: EmulateJcc,
		match: []match{one(0x70, 0x7f), two(0x80, 0x8f)}},
	{Name: "loop, jcxz", Opcodes: "e0-e3 cb", Fixup: FixIP, Emulate: EmulateLoop, match: []match{one(0xe0, 0xe3)},
		Note: "6.1 tests the count before it decrements it: one iteration too many"},
	{Name: "xbegin", Opcodes: "c7 f8 cd", Fixup: FixIP, Classic: tsx,
		match: []match{one(0xc7, 0xc7).is(0xf8)},
		Note:  "6.1 steps it, and an abort goes astray; the engine has no RTM and takes it for mov imm32 to eax"},

	// Other branches.
	{Name: "call register", Opcodes: "ff /2 register", Fixup: FixRet | AbsIP, Emulate: EmulateCallIndirect,
		match: []match{one(0xff, 0xff).ext(2).register().without(addrSize)},
		Note:  "6.1 pushes before it reads: call *%rsp goes astray"},
	{Name: "call memory", Opcodes: "ff /2 memory, or with 67", Fixup: FixRet | AbsIP, Modern: noMemory, match: []match{one(0xff, 0xff).ext(2)}},
	{Name: "jmp register", Opcodes: "ff /4 register", Fixup: AbsIP, Boost: true, Emulate: EmulateJmpIndirect,
		match: []match{one(0xff, 0xff).ext(4).register().without(addrSize)}},
	{Name: "jmp memory", Opcodes: "ff /4 memory, or with 67", Fixup: AbsIP, Boost: true, Modern: noMemory, match: []match{one(0xff, 0xff).ext(4)}},
	{Name: "call far", Opcodes: "9a, ff /3", Fixup: FixRet | AbsIP, Modern: noFar,
		match: []match{one(0x9a, 0x9a), one(0xff, 0xff).ext(3)}},
	{Name: "jmp far", Opcodes: "ea, ff /5", Fixup: AbsIP, Modern: noFar,
		match: []match{one(0xea, 0xea), one(0xff, 0xff).ext(5)}},
	{Name: "ret", Opcodes: "c3, c2 iw", Fixup: AbsIP, Boost: true, Emulate: EmulateRet, match: []match{one(0xc2, 0xc3)},
		Note: "6.1 forgets the immediate"},
	{Name: "ret far", Opcodes: "cb, ca iw", Fixup: AbsIP, Boost: true, Emulate: EmulateRet, match: []match{one(0xca, 0xcb)},
		Note: "6.1 emulates a near ret"},
	{Name: "iret", Opcodes: "cf", Fixup: AbsIP | SetsIF | SetsTF, Boost: true, Modern: noIret, match: []match{one(0xcf, 0xcf)}},

	// System calls.
	{Name: "syscall", Opcodes: "0f 05", Fixup: AbsIP | FixSyscall | SetsIF | NoTrap, Classic: inKernel, match: []match{two(0x05, 0x05)},
		Note: "no step trap when FMASK has TF, as Linux sets it"},
	{Name: "sysenter", Opcodes: "0f 34", Fixup: AbsIP | SetsIF, match: []match{two(0x34, 0x34)},
		Note: "keeps TF: the step trap comes at the entry point"},
	{Name: "sysret, sysexit", Opcodes: "0f 07, 0f 35", Fixup: AbsIP | SetsIF | SetsTF | Leaves,
		match: []match{two(0x07, 0x07), two(0x35, 0x35)}, Note: "post-handlers do not run; 6.1 steps it and takes the hit to user mode"},

	// TF and IF.
	{Name: "pushf", Opcodes: "9c", Fixup: FixIP | FixFlags, Boost: true, Emulate: EmulateFlags, match: []match{one(0x9c, 0x9c)}},
	{Name: "popf", Opcodes: "9d", Fixup: FixIP | SetsIF | SetsTF, Boost: true, Emulate: EmulateFlags, match: []match{one(0x9d, 0x9d)},
		Note: "6.1 pops a word whatever the operand size"},
	{Name: "cli, sti", Opcodes: "fa, fb", Fixup: FixIP | SetsIF, Boost: true, Emulate: EmulateFlags, match: []match{one(0xfa, 0xfb)},
		Note: "an interrupt may come between sti and the instruction after it"},

	// Strings.
	{Name: "rep string", Opcodes: "f2 or f3 with 6c-6f, a4-a7, aa-af", Fixup: FixIP | Repeats, Boost: true,
		match: []match{one(0x6c, 0x6f).repeated(), one(0xa4, 0xa7).repeated(), one(0xaa, 0xaf).repeated()},
		Note:  "2.6.21 ran the handlers once an iteration"},

	// What may not be boosted, though it steps like any other (can_boost).
	{Name: "bound", Opcodes: "62 /r", Fixup: FixIP, match: []match{one(0x62, 0x62).in(32)}},
	{Name: "x87", Opcodes: "d8-df /r", Fixup: FixIP, match: []match{one(0xd8, 0xdf)},
		Note: "the x87 instruction pointer stays the slot's"},
	{Name: "salc", Opcodes: "d6", Fixup: FixIP, match: []match{one(0xd6, 0xd6)}},
	{Name: "groups 2 to 5", Opcodes: "c0, c1, d0-d3, f6, f7, fe, ff /0, ff /1, ff /6", Fixup: FixIP,
		match: []match{one(0xc0, 0xc1), one(0xd0, 0xd3), one(0xf6, 0xf7), one(0xfe, 0xff)},
		Note:  "boosted since 290eb13f1a65 (2024), but for push and the aliases c0 /6, f6 /1"},

	// Emulated by uprobes; kprobes steps them.
	{Name: "push register", Opcodes: "50+rd", Fixup: FixIP, Boost: true, Emulate: EmulatePush, match: []match{one(0x50, 0x57)}},
	{Name: "nop", Opcodes: "90", Fixup: FixIP, Boost: true, Emulate: EmulateNop,
		match: []match{one(0x90, 0x90).low().without(repPrefixes | x86.PrefixLock)}},
	{Name: "long nop", Opcodes: "0f 1f /0", Fixup: FixIP, Boost: true, Emulate: EmulateNop,
		match: []match{two(0x1f, 0x1f).ext(0).without(x86.PrefixLock)}},
	{Name: "endbr", Opcodes: "f3 0f 1e fa, f3 0f 1e fb", Fixup: FixIP, Emulate: EmulateNop,
		match: []match{two(0x1e, 0x1e).is(0xfa).prefixed(x86.PrefixRep), two(0x1e, 0x1e).is(0xfb).prefixed(x86.PrefixRep)}},

	// All the rest.
	{Name: "one byte", Opcodes: "00-ff", Fixup: FixIP, Boost: true, match: []match{whole(x86.Map1B)}},
	{Name: "vm", Opcodes: "0f 01 /0 register", Fixup: FixIP, Modern: noVM, match: []match{two(0x01, 0x01).ext(0).register()}},
	{Name: "two byte, boostable", Opcodes: "0f 00-ff", Fixup: FixIP, Boost: true, match: boostable0F()},
	{Name: "two byte", Opcodes: "0f 00-ff", Fixup: FixIP, match: []match{whole(x86.Map0F)}},
	{Name: "three byte", Opcodes: "0f 38, 0f 3a", Fixup: FixIP,
		match: []match{whole(x86.Map0F38), whole(x86.Map0F3A)}},
	{Name: "3DNow!", Opcodes: "0f 0f /r ib", Fixup: FixIP, match: []match{whole(x86.Map3DNow)}},
	{Name: "vector", Opcodes: "VEX, EVEX, XOP", Fixup: FixIP, match: []match{{anyMap: true, vex: true}},
		Note: "6.1 takes the opcode byte for a one-byte opcode: VEX.0F.EB (vpor) would be emulated as jmp (insn_get_opcode)"},

	// What does not decode.
	{Name: "pop ss in 64-bit mode", Opcodes: "17", Fixup: FixIP, Classic: noOpcode, Modern: masksTrap,
		match: []match{one(0x17, 0x17).undef()}},
	{Name: "far branch that does not exist", Opcodes: "9a, ea in 64-bit mode; ff /3, ff /5 of a register", Fixup: FixIP,
		Classic: noOpcode, Modern: noFar,
		match: []match{one(0x9a, 0x9a).undef(), one(0xea, 0xea).undef(), one(0xff, 0xff).ext(3).undef(), one(0xff, 0xff).ext(5).undef()}},
	{Name: "undefined", Opcodes: "all other", Fixup: FixIP, Classic: noOpcode, match: []match{{anyMap: true, undefined: true}},
		Note: "6.1 knows lengths only and lets 06 be probed in 64-bit mode"},
	{Name: undecodable, Opcodes: "longer than 15 bytes, or cut short", Classic: noDecode, Modern: noCopy},
}

// wide66 narrows matches to 64-bit mode with a 66 prefix that REX.W does not override.
func wide66(ms ...match) []match {
	for k := range ms {
		ms[k] = ms[k].in(64).prefixed(opSize)
		ms[k].noREXW = true
	}
	return ms
}

// boostable0Fs are the two-byte opcodes that may be boosted, as first and last of a range (twobyte_is_boostable,
// Linux 6.1, arch/x86/kernel/kprobes/core.c).
const boostable0Fs = "\x02\x03\x06\x06\x08\x09\x1f\x23\x31\x31\x40\x4f\x60\x6b\x6e\x6f\x74\x77\x7e\x7f\x90\x9f\xa0\xa1" +
	"\xa3\xa5\xa8\xa9\xab\xad\xaf\xb7\xbb\xbf\xc0\xc1\xc8\xcf\xd1\xd3\xd5\xd5\xd8\xd9\xdb\xdd\xdf\xdf\xe1\xe2\xe5\xe5" +
	"\xe8\xe9\xeb\xed\xef\xef\xf1\xf3\xf5\xf5\xf8\xfa\xfc\xfe"

func boostable0F() (ms []match) {
	for k := 0; k < len(boostable0Fs); k += 2 {
		ms = append(ms, two(boostable0Fs[k], boostable0Fs[k+1]))
	}
	return ms
}
