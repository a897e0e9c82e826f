package kprobes_test

import (
	"context"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
	"emukp/kprobes"
)

// userProgram does what leads through the kernel's code for ring 3.
const userProgram = `
static struct rseq area;
static char alt[SIGSTKSZ];
static long seen;
static void handler(int sig, siginfo_t *si, void *ctx)
{
	greg_t *regs = ((ucontext_t *)ctx)->uc_mcontext.gregs;

	seen = seen * 31 + sig * 100 + si->si_code + regs[REG_TRAPNO];
	if (sig == SIGSEGV)
		regs[REG_RIP] += 3;			/* movq (%rax), %rax */
	else if (sig == SIGILL)
		regs[REG_RIP] += 2;
}
long work(void)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t ss = { alt, 0, sizeof(alt) };

	seen = sigaltstack(&ss, NULL) + rseq(&area, 32, 0, RSEQ_SIG) + rasctl(work, 8, RAS_INSTALL);
	for (int sig = SIGILL; sig <= SIGUSR2; sig++)
		sigaction(sig, &sa, NULL);
	puts("in ring 3");
	asm volatile("xorl %%eax, %%eax; .byte 0x48, 0x8b, 0x00; ud2; int3" : : : "rax", "memory");
	raise(SIGUSR1);
	sched_yield();
	sa.sa_sigaction = (void *)1;			/* SIG_IGN */
	sigaction(SIGUSR2, &sa, NULL);
	return seen + raise(SIGUSR2) + write(7, "", 0) + rseq(&area, 32, 1, RSEQ_SIG);
}
long killed(void) { return work() + raise(SIGTERM); }
`

// Every instruction of the way from ring 3 through the kernel and back is
// probed: the program can't tell.
func TestEveryInstructionOfRing3(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("skip: needs cc")
	}
	srcs := []guestimg.Source{{Name: "prog.c", Lang: "c", Text: []byte(userProgram)}}
	data, err := guestimg.BuildUser(context.Background(), "prog", srcs, x86.X86_64, guestimg.Options{})
	require.NoError(t, err)
	im, err := guestimg.Load("prog", data)
	require.NoError(t, err)
	for _, model := range kprobes.Models() {
		t.Run(model.Name, func(t *testing.T) {
			r := newRig(t, kernel.Config{}, kprobes.Options{Model: model})
			require.NoError(t, r.k.LoadUser(im))
			run := func(fn string) (ret uint64, death string) {
				s, ok := im.Sym(fn)
				require.True(t, ok)
				var task *kernel.Thread
				r.do(0, func(c *kernel.CPU) (err error) {
					task, err = c.StartUser("prog", s.Addr)
					return err
				})
				require.True(t, task.Ended())
				ret, _ = task.Result()
				if d := task.Death(); d != nil {
					death = d.Title
				}
				return ret, death
			}
			want, death := run("work")
			require.Empty(t, death)
			_, wantDeath := run("killed")
			require.Equal(t, "user task killed by SIGTERM", wantDeath)
			ps := r.probeBut(kernel.EOPNOTSUPP, "user_thread", "exit_to_user_mode", "do_syscall", "do_syscall_64",
				"force_sig_fault", "do_signal", "setup_rt_frame", "sys_rt_sigreturn", "restore_sigcontext",
				"sys_rt_sigaction", "sys_sigaltstack", "do_sigaltstack", "sys_tgkill", "send_sig_info", "get_signal_death",
				"sys_rseq", "sys_rasctl", "rseq_event", "rseq_handle_notify_resume", "rseq_ip_fixup", "ras_ip_fixup",
				"ksys_write", "sys_getpid", "sys_sched_yield", "sys_exit", "do_exit", "copy_to_user", "copy_from_user",
				"__copy_user", "put_user", "get_user", "memset")
			got, death := run("work")
			require.Equal(t, want, got)
			require.Empty(t, death)
			_, death = run("killed")
			require.Equal(t, wantDeath, death)
			require.Equal(t, []string{"in ring 3", "in ring 3", "in ring 3", "in ring 3"}, r.k.Log)
			hits, missed := hitsOf(ps)
			require.Zero(t, missed)
			t.Logf("%d probes, %d hits", len(ps), hits)
			require.Greater(t, len(ps), 1000)
			require.Greater(t, hits, uint64(5000))
		})
	}
}
