package kernel_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
)

// What ring 3 costs: one round of each kind, in host time and in guest
// instructions.
func BenchmarkUser(b *testing.B) {
	k := program(b, kernel.Config{Budget: 1 << 60}, `
static void handler(int sig, siginfo_t *si, void *ctx) { ((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP] += 3; }
long fault(long n)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &sa, NULL);
	while (n--)
		asm volatile("xorl %%eax, %%eax; .byte 0x48, 0x8b, 0x00" : : : "rax", "memory");
	return 0;
}
long call(long n)
{
	while (n--)
		getpid();
	return 0;
}
static void nothing(int sig) {}
long send(long n)
{
	signal(SIGUSR1, nothing);
	while (n--)
		raise(SIGUSR1);
	return 0;
}
`)
	for _, fn := range []string{"call", "fault", "send"} {
		b.Run(fn, func(b *testing.B) {
			before := k.M.Instructions()
			require.Zero(b, returns(b, k, fn, uint64(b.N)))
			b.ReportMetric(float64(k.M.Instructions()-before)/float64(b.N), "insns/op")
		})
	}
}
