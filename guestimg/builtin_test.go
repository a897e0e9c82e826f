// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
)

func TestBuiltinSegments(t *testing.T) {
	im := builtin(t)
	require.Equal(t, "vmguest", im.Name)
	require.Same(t, x86.X86_64, im.Arch)
	require.Len(t, im.Hash, 64)
	var got []string
	for _, s := range im.Segments {
		require.Zero(t, s.Addr%x86.PageSize, "segment %s", s.Name)
		require.GreaterOrEqual(t, s.Addr, uint64(KernelBase), "the top 2 GiB, for mcmodel=kernel")
		require.Less(t, s.End(), uint64(ModuleBase))
		got = append(got, s.Name+" "+s.Prot.String())
	}
	require.Equal(t, []string{".text r-x", ".rodata r--", ".data rw-"}, got)
	start, end := im.Range()
	require.Equal(t, uint64(KernelBase), start)
	require.Zero(t, end%x86.PageSize)
	require.Less(t, len(builtinELF(t)), 100<<10)
}

func TestBuiltinSections(t *testing.T) {
	im := builtin(t)
	var names []string
	for _, s := range im.Sections {
		names = append(names, s.Name)
	}
	require.Equal(t, []string{".text", ".entry.text", ".kprobes.text", ".rodata",
		"__ex_table", "_kprobe_blacklist", ".data", ".bss"}, names)
	_, data, ok := im.Section(".bss")
	require.True(t, ok)
	require.Nil(t, data)
	_, _, ok = im.Section(".got")
	require.False(t, ok)
}

// Nothing is left for a loader to do, and nothing shows where it was built.
func TestBuiltinIsStatic(t *testing.T) {
	data := builtinELF(t)
	f, err := elf.NewFile(bytes.NewReader(data))
	require.NoError(t, err)
	for _, s := range f.Sections {
		require.NotContains(t, []elf.SectionType{elf.SHT_REL, elf.SHT_RELA, elf.SHT_DYNAMIC}, s.Type, s.Name)
		require.NotRegexp(t, `^\.(got|plt|debug|eh_frame|note|comment|init_array)`, s.Name)
	}
	require.NotContains(t, string(data), "/tmp")
	require.NotContains(t, string(data), "GNU C")
}

// What the harness calls, and what people probe, is there as a sized function.
func TestBuiltinFunctions(t *testing.T) {
	im := builtin(t)
	for _, name := range strings.Fields(`
		startup_64 cpu_boot_done __call_return cpu_idle cpu_init trap_init start_kernel start_secondary
		do_divide_error do_debug do_nmi do_int3 do_overflow do_bounds do_invalid_op do_device_not_available
		do_double_fault do_invalid_TSS do_segment_not_present do_stack_segment do_general_protection
		do_page_fault do_coprocessor_error do_alignment_check do_machine_check do_simd_coprocessor_error
		do_trap do_IRQ do_syscall do_int80 entry_SYSCALL_64 entry_INT80 asm_exc_int3 asm_exc_nmi
		schedule context_switch switch_mm pick_next_task wake_up_process yield yield_cpu kthread_create
		kthread_run do_exit do_fork copy_process __switch_to_asm __switch_to ret_from_fork enter_user
		spin_lock spin_unlock spin_trylock atomic_inc atomic_add_return atomic_cmpxchg count_event ktime_get
		list_add list_add_tail list_del list_find list_sum hash_bytes hash_long crc32 ht_insert ht_lookup
		memcpy memmove memset memcmp strlen strcpy strncpy strcmp strchr strrev simple_strtol
		copy_from_user copy_to_user copy_from_user_inatomic strncpy_from_user get_user put_user __copy_user
		printk vprintk vsnprintf snprintf panic sys_read vfs_read rw_verify_area ram_read sys_write
		do_execve flush_old_exec flush_thread sort_long sort insertion_sort bsearch_long
		do_add do_sub divide factorial fib ackermann gcd is_even is_odd sum10 dispatch apply twice
		register_kprobe unregister_kprobe register_kprobes unregister_kprobes enable_kprobe disable_kprobe
		register_jprobe unregister_jprobe register_jprobes unregister_jprobes jprobe_return
		register_kretprobe unregister_kretprobe register_kretprobes unregister_kretprobes
		_do_fork kernel_clone kmalloc kzalloc kcalloc krealloc kfree ksize kstrdup kmem_cache_alloc __alloc_percpu
		parse_args kstrtoint kstrtobool kallsyms_lookup_name sprint_symbol dump_stack __warn msleep udelay
		schedule_timeout mutex_lock wait_for_completion kthread_create_fmt kthread_stop synchronize_sched
		do_loop sum_array bug do_nothing peek poke level1 level2 level3`) {
		s, ok := im.Sym(name)
		require.True(t, ok, "no symbol %s", name)
		require.Equal(t, Func, s.Type, name)
		require.True(t, s.Global, name)
		require.NotZero(t, s.Size, name)
		require.True(t, im.isText(s.Addr), name)
	}
	for _, s := range im.Syms {
		require.NotRegexp(t, `\.(constprop|isra|part|cold)`, s.Name, "a clone hides from probes")
	}
}

func TestBuiltinSymbolsSorted(t *testing.T) {
	im := builtin(t)
	for i := 1; i < len(im.Syms); i++ {
		a, b := im.Syms[i-1], im.Syms[i]
		require.True(t, a.Addr < b.Addr || a.Addr == b.Addr && a.Size <= b.Size, "%v %v", a, b)
	}
	_, ok := im.Sym("no_such_symbol")
	require.False(t, ok)
}

// Functions do not overlap: a probe's symbol is never in doubt.
func TestBuiltinFunctionsDisjoint(t *testing.T) {
	var last Symbol
	for _, s := range builtin(t).Syms {
		if s.Type != Func {
			continue
		}
		require.GreaterOrEqual(t, s.Addr, last.Addr+last.Size, "%s and %s", last.Name, s.Name)
		last = s
	}
}

func TestBuiltinOffsets(t *testing.T) {
	im := builtin(t)
	abs := func(name string) uint64 {
		v, ok := im.Abs(name)
		require.True(t, ok, name)
		return v
	}
	require.Zero(t, abs("__off_cpu_self"))
	require.Equal(t, uint64(168), abs("__size_pt_regs"))
	require.Equal(t, uint64(64), abs("__nr_cpus"))
	require.Zero(t, abs("__off_task_pid"))
	for _, n := range []string{"cpu", "current", "kernel_sp", "user_sp", "preempt_count", "counter", "gdt", "tss"} {
		require.Less(t, abs("__off_cpu_"+n), abs("__size_cpu_data"), n)
	}
	for _, n := range []string{"comm", "sp", "stack", "cr3", "state", "cpu", "next", "preempt_count", "cr2", "exit_code"} {
		require.Less(t, abs("__off_task_"+n), abs("__size_task_struct"), n)
	}
	cpus, ok := im.Sym("cpu_data")
	require.True(t, ok)
	require.Equal(t, abs("__size_cpu_data")*abs("__nr_cpus"), cpus.Size)
	require.GreaterOrEqual(t, abs("__off_cpu_gdt")+x86.GDTEntries*8, abs("__off_cpu_gdt"))
	require.LessOrEqual(t, abs("__off_cpu_tss")+x86.TSS64Size, abs("__size_cpu_data"))

	_, ok = im.Abs("cpu_data")
	require.False(t, ok, "an address is no absolute symbol")
}

func TestBuiltinExTable(t *testing.T) {
	im := builtin(t)
	table, err := im.ExTable()
	require.NoError(t, err)
	require.NotEmpty(t, table)
	in := map[string]int{}
	for i, e := range table {
		require.True(t, i == 0 || table[i-1].Insn < e.Insn, "sorted, no insn twice")
		fn, ok := im.funcAt(e.Insn)
		require.True(t, ok, "%#x", e.Insn)
		in[fmt.Sprintf("%s %d", fn.Name, e.Type)]++
	}
	require.Equal(t, map[string]int{
		"__copy_user 1": 4, "__clear_user 1": 1, // words and bytes, loads and stores
		"get_user 3": 1, "put_user 3": 1, "strncpy_from_user 3": 1, "strnlen_user 3": 1,
		"native_write_msr 8": 1, "native_read_msr 9": 1,
		"native_write_msr_safe 778": 1, "native_read_msr_safe 779": 1, // 3 << 8 is ebx
	}, in)
}

func TestBuiltinBlacklist(t *testing.T) {
	im := builtin(t)
	list := im.Blacklist()
	closed := func(name string) bool {
		s, ok := im.Sym(name)
		require.True(t, ok, name)
		for _, r := range list {
			if r.Start <= s.Addr && s.Addr+s.Size <= r.End {
				return true
			}
		}
		return false
	}
	for _, n := range []string{"do_int3", "do_debug", "do_nmi", "do_page_fault", "asm_exc_int3", "asm_exc_nmi",
		"entry_SYSCALL_64", "__call_return", "register_kprobe", "unregister_kretprobes", "enable_kprobe",
		"regs_get_kernel_stack_nth", "startup_64", "cpu_boot_done", "cpu_init"} {
		require.True(t, closed(n), n)
	}
	for _, n := range []string{"do_IRQ", "do_divide_error", "do_syscall", "schedule", "do_add", "__copy_user"} {
		require.False(t, closed(n), n)
	}
	for i, r := range list {
		require.Less(t, r.Start, r.End, r.Name)
		require.True(t, i == 0 || list[i-1].Start <= r.Start)
	}
}

// objdump is the judge of what the compiler made of the shapes.
func TestBuiltinShapes(t *testing.T) {
	needTool(t, "objdump")
	for _, c := range []struct{ fn, want string }{
		{"dispatch", `jmp\s+\*-?0x[0-9a-f]+\(,%r`},
		{"factorial", `call\s+[0-9a-f]+ <factorial>`},
		{"fib", `call\s+[0-9a-f]+ <fib>`},
		{"ackermann", `call\s+[0-9a-f]+ <ackermann>`},
		{"is_even", `call\s+[0-9a-f]+ <is_odd>`},
		{"divide", `idiv`},
		{"bug", `ud2`},
		{"memcpy", `rep movs`},
		{"spin_lock", `(?s)xchg.*pause`},
		{"spin_trylock", `lock cmpxchg`},
		{"count_event", `incq\s+%gs:`},
		{"sys_read", `call\s+[0-9a-f]+ <vfs_read>`},
		{"vfs_read", `(?s)<rw_verify_area>.*call\s+\*`},
		{"ram_read", `call\s+[0-9a-f]+ <memcpy>`},
		{"do_loop", `j[a-z]+\s`},
	} {
		out, err := exec.Command("objdump", "-d", "--disassemble="+c.fn, "images/vmguest_x86_64.elf").Output()
		require.NoError(t, err)
		require.Regexp(t, regexp.MustCompile(c.want), string(out), c.fn)
		require.NotRegexp(t, `jmp\s+[0-9a-f]+ <[a-z_0-9]+>`, string(out), "%s: no sibling calls", c.fn)
		require.NotRegexp(t, `%[xy]mm`, string(out), c.fn)
	}
}

func TestBuiltinOtherArch(t *testing.T) {
	_, err := Builtin(&x86.Arch{Name: "vax"})
	require.EqualError(t, err, "no built-in guest kernel for vax")
}
