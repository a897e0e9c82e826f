// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// moduleHeaders are those that modules include, as they write them.
func moduleHeaders(t *testing.T) []string {
	t.Helper()
	var list []string
	err := fs.WalkDir(sources, "src/include", func(p string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(p, "src/include/")
		if err == nil && !e.IsDir() && strings.Contains(name, "/") {
			list = append(list, name)
		}
		return err
	})
	require.NoError(t, err)
	require.Greater(t, len(list), 100)
	return append(list, "asm/ptrace.h", "asm/percpu.h", "asm/processor.h", "asm/segment.h", "asm/msr.h", "stdarg.h", "stddef.h")
}

// Every header compiles alone, twice over, without a warning.
func TestHeadersAlone(t *testing.T) {
	var srcs []Source
	for i, h := range moduleHeaders(t) {
		text := fmt.Sprintf("#include <%s>\n#include <%s>\n", h, h)
		srcs = append(srcs, Source{Name: fmt.Sprintf("h%d.c", i), Lang: "c", Text: []byte(text)})
	}
	const groups = 4
	for g := range groups {
		t.Run(fmt.Sprint(g), func(t *testing.T) {
			t.Parallel()
			lo, hi := g*len(srcs)/groups, (g+1)*len(srcs)/groups
			m, err := kbuild(t, "alone", srcs[lo:hi])
			require.NoError(t, err)
			require.Empty(t, m.Warnings)
		})
	}
}

// And all together in any order; their functions are all there.
func TestHeadersTogether(t *testing.T) {
	headers := moduleHeaders(t)
	rng := rand.New(rand.NewSource(1))
	for range 2 {
		rng.Shuffle(len(headers), func(i, j int) { headers[i], headers[j] = headers[j], headers[i] })
		text := "#include <" + strings.Join(headers, ">\n#include <") + ">\nint x = 1;\n"
		m, err := kbuild(t, "together", []Source{cSource(text)})
		require.NoError(t, err)
		require.Empty(t, m.Warnings)
		// BuildModule does not know the defines of kbuild.
		_, err = BuildModule(context.Background(), "together", []Source{cSource(text)}, ModuleBase, builtin(t), Options{})
		require.NoError(t, err)
	}
}

// What stands in emukp.h alone works behind the kernel's headers as well, where
// they do not give it another shape.
func TestHeadersAndEmukp(t *testing.T) {
	_, err := BuildModule(context.Background(), "both", []Source{cSource(`
#include <linux/kprobes.h>
#include <linux/uaccess.h>
long both(struct task_struct *p)
{
	unsigned long flags;
	spin_lock_irqsave(&tasklist_lock, flags);
	flags = (spin_lock_irqsave)(&tasklist_lock);
	preempt_disable();
	count_event();
	preempt_enable();
	return do_add((long)(ktime_get)(), (get_user)((long *)p, NULL)) + PT_IP + num_online_cpus();
}`)}, ModuleBase, builtin(t), Options{})
	require.NoError(t, err)
}

// layouts are offsets and sizes of v4.14 on x86_64 with SMP, without debugging
// options: include/linux/{kprobes,list,ktime,moduleparam}.h,
// arch/x86/include/asm/{ptrace,kprobes}.h.
var layouts = map[string]uint64{
	"sizeof(struct pt_regs)": 168, "offsetof(struct pt_regs, r15)": 0, "offsetof(struct pt_regs, r12)": 24,
	"offsetof(struct pt_regs, bp)": 32, "offsetof(struct pt_regs, rbp)": 32, "offsetof(struct pt_regs, rbx)": 40,
	"offsetof(struct pt_regs, r11)": 48, "offsetof(struct pt_regs, r8)": 72, "offsetof(struct pt_regs, ax)": 80,
	"offsetof(struct pt_regs, rax)": 80, "offsetof(struct pt_regs, rcx)": 88, "offsetof(struct pt_regs, rdx)": 96,
	"offsetof(struct pt_regs, rsi)": 104, "offsetof(struct pt_regs, rdi)": 112, "offsetof(struct pt_regs, orig_rax)": 120,
	"offsetof(struct pt_regs, ip)": 128, "offsetof(struct pt_regs, rip)": 128, "offsetof(struct pt_regs, cs)": 136,
	"offsetof(struct pt_regs, eflags)": 144, "offsetof(struct pt_regs, flags)": 144, "offsetof(struct pt_regs, rsp)": 152,
	"offsetof(struct pt_regs, ss)": 160,

	"sizeof(struct list_head)": 16, "offsetof(struct list_head, prev)": 8,
	"sizeof(struct hlist_head)": 8, "sizeof(struct hlist_node)": 16, "offsetof(struct hlist_node, pprev)": 8,
	"sizeof(kprobe_opcode_t)": 1, "sizeof(struct arch_specific_insn)": 16, "sizeof(raw_spinlock_t)": 4,
	"sizeof(ktime_t)": 8, "sizeof(atomic_t)": 4, "sizeof(atomic64_t)": 8, "sizeof(loff_t)": 8, "sizeof(bool)": 1,

	"sizeof(struct kprobe)": 128, "offsetof(struct kprobe, hlist)": 0, "offsetof(struct kprobe, list)": 16,
	"offsetof(struct kprobe, nmissed)": 32, "offsetof(struct kprobe, addr)": 40, "offsetof(struct kprobe, symbol_name)": 48,
	"offsetof(struct kprobe, offset)": 56, "offsetof(struct kprobe, pre_handler)": 64, "offsetof(struct kprobe, post_handler)": 72,
	"offsetof(struct kprobe, fault_handler)": 80, "offsetof(struct kprobe, break_handler)": 88,
	"offsetof(struct kprobe, opcode)": 96, "offsetof(struct kprobe, ainsn)": 104, "offsetof(struct kprobe, flags)": 120,

	"sizeof(struct jprobe)": 136, "offsetof(struct jprobe, kp)": 0, "offsetof(struct jprobe, entry)": 128,

	"sizeof(struct kretprobe)": 176, "offsetof(struct kretprobe, kp)": 0, "offsetof(struct kretprobe, handler)": 128,
	"offsetof(struct kretprobe, entry_handler)": 136, "offsetof(struct kretprobe, maxactive)": 144,
	"offsetof(struct kretprobe, nmissed)": 148, "offsetof(struct kretprobe, data_size)": 152,
	"offsetof(struct kretprobe, free_instances)": 160, "offsetof(struct kretprobe, lock)": 168,

	"sizeof(struct kretprobe_instance)": 40, "offsetof(struct kretprobe_instance, hlist)": 0,
	"offsetof(struct kretprobe_instance, rp)": 16, "offsetof(struct kretprobe_instance, ret_addr)": 24,
	"offsetof(struct kretprobe_instance, task)": 32, "offsetof(struct kretprobe_instance, data)": 40,

	"sizeof(struct kernel_param)": 40, "offsetof(struct kernel_param, ops)": 16, "offsetof(struct kernel_param, perm)": 24,
	"offsetof(struct kernel_param, arg)": 32, "sizeof(struct kparam_string)": 16, "sizeof(struct kparam_array)": 32,
	"KPROBE_FLAG_GONE": 1, "KPROBE_FLAG_DISABLED": 2, "KPROBE_FLAG_OPTIMIZED": 4, "KPROBE_FLAG_FTRACE": 8,
	"BREAKPOINT_INSTRUCTION": 0xcc, "LINUX_VERSION_CODE": 4<<16 | 14<<8, "ERESTARTSYS": 512, "EADDRNOTAVAIL": 99,
	"ENOTSUPP": 524, "CLONE_VM": 0x100, "CLONE_THREAD": 0x10000, "CLONE_SETTLS": 0x80000,
	"sizeof(struct kernel_clone_args)": 88, "offsetof(struct kernel_clone_args, stack)": 40,
}

// The compiler's layouts are the kernel's; so are the numbers that the
// harness reads from the image.
func TestLayouts(t *testing.T) {
	var exprs []string
	for e := range layouts {
		exprs = append(exprs, e)
	}
	m, err := kbuild(t, "layout", []Source{cSource("#include <linux/kprobes.h>\n#include <linux/moduleparam.h>\n" +
		"#include <linux/ktime.h>\n#include <linux/version.h>\n" +
		"const unsigned long layout[] = {\n" + strings.Join(exprs, ",\n") + " };\n")})
	require.NoError(t, err)
	sym, ok := m.Image.Sym("layout")
	require.True(t, ok)
	seg, ok := m.Image.segment(sym.Addr)
	require.True(t, ok)
	k := builtin(t)
	checked := 0
	for i, e := range exprs {
		require.Equal(t, layouts[e], binary.LittleEndian.Uint64(seg.Data[sym.Addr-seg.Addr+8*uint64(i):]), e)
		name := strings.NewReplacer("offsetof(struct ", "__off_", ", ", "_", "sizeof(struct ", "__size_", ")", "").Replace(e)
		if v, ok := k.Abs(name); ok {
			require.Equal(t, layouts[e], v, name)
			checked++
		}
	}
	require.GreaterOrEqual(t, checked, 26)
}

// docs/modules.md has every header that modules may include, and no other.
func TestHeadersDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/modules.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(text), "\n## Headers\n")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n## ")
	table, absent, ok := strings.Cut(table, "\nThere is no ")
	require.True(t, ok)
	names := func(text string) (list []string) {
		for _, m := range regexp.MustCompile("`([a-z_0-9/-]+\\.h)`").FindAllStringSubmatch(text, -1) {
			list = append(list, m[1])
		}
		return list
	}
	listed := names(table)
	have := append(moduleHeaders(t), "asm/asm.h", "asm/hypercall.h", "asm/usercopy.h")
	require.ElementsMatch(t, have, listed)
	require.NotEmpty(t, names(absent))
	for _, h := range names(absent) {
		require.NotContains(t, have, h, "said to be absent")
	}
}
