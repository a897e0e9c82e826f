package kernel_test

import (
	"context"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/kernel"
)

// program boots a kernel with a user program of C text.
func program(t testing.TB, cfg kernel.Config, text string) *kernel.Kernel {
	t.Helper()
	k := boot(t, cfg)
	require.NoError(t, k.LoadUser(compileUser(t, text)))
	return k
}

func compileUser(t testing.TB, text string) *guestimg.Image {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("skip: needs cc")
	}
	srcs := []guestimg.Source{{Name: "prog.c", Lang: "c", Text: []byte(text)}}
	data, err := guestimg.BuildUser(context.Background(), "prog", srcs, x86.X86_64, guestimg.Options{})
	require.NoError(t, err)
	im, err := guestimg.Load("prog", data)
	require.NoError(t, err)
	return im
}

// userSym is the address of a symbol of the user program.
func userSym(t testing.TB, k *kernel.Kernel, name string) uint64 {
	t.Helper()
	addr, ok := k.Syms.Lookup("user:" + name)
	require.True(t, ok, name)
	return addr
}

// user starts a function of the program as a task and waits for the end.
func user(t testing.TB, k *kernel.Kernel, fn string, args ...uint64) *kernel.Thread {
	t.Helper()
	var task *kernel.Thread
	require.NoError(t, k.Do(0, func(c *kernel.CPU) (err error) {
		task, err = c.StartUser("prog", userSym(t, k, fn), args...)
		return err
	}))
	require.True(t, task.Ended(), fn)
	return task
}

// returns is what the function returned.
func returns(t testing.TB, k *kernel.Kernel, fn string, args ...uint64) int64 {
	t.Helper()
	task := user(t, k, fn, args...)
	if d := task.Death(); d != nil {
		require.Fail(t, d.Text)
	}
	ret, ok := task.Result()
	require.True(t, ok)
	return int64(ret)
}

func TestUserProgram(t *testing.T) {
	k := program(t, kernel.Config{}, `
static const char hello[] = "hello, log\n";
long counter = 7;
long add(long a, long b) { return a + b; }
long many(long a, long b, long c, long d, long e, long f, long g, long h)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}
long next(void) { return ++counter; }
long hi(void) { return write(1, hello, sizeof(hello) - 1); }
long leave(long code) { _exit(code); }
long no_call(void) { return syscall4(9999, 0, 0, 0, 0); }
long bad_fd(void) { return write(9, hello, 1); }
long bad_buf(long p) { return write(1, (void *)p, 5); }
long half_buf(long p) { return write(2, (void *)(p - 3), 8); }
long pid(void) { return getpid(); }
long align(void) { return (long)__builtin_frame_address(0) & 15; }
long int80(void) { long r; asm volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory"); return r; }
long big[600];
long stack_is_clean(void) { volatile long a[500]; long s = 0; for (int i = 0; i < 500; i++) { s |= a[i]; a[i] = -1; } return s; }
`)
	for _, c := range []struct {
		fn   string
		args []uint64
		want int64
	}{
		{"add", []uint64{40, 2}, 42},
		{"many", []uint64{1, 2, 3, 4, 5, 6, 7, 8}, 204},
		{"next", nil, 8}, {"next", nil, 9},
		{"hi", nil, 11},
		{"leave", []uint64{^uint64(2)}, -3},
		{"no_call", nil, -38}, {"int80", nil, -38},
		{"bad_fd", nil, -9},
		{"bad_buf", []uint64{0}, -14}, {"bad_buf", []uint64{0xffffffff81000000}, -14}, {"bad_buf", []uint64{1 << 47}, -14},
		{"half_buf", []uint64{kernel.UserStackTop}, 3},
		{"align", nil, 0},
		{"stack_is_clean", nil, 0}, {"stack_is_clean", nil, 0},
	} {
		require.Equal(t, c.want, returns(t, k, c.fn, c.args...), c.fn)
	}
	require.Equal(t, []string{"hello, log", "\x00\x00\x00"}, k.Log)
	first := returns(t, k, "pid")
	require.Equal(t, first+1, returns(t, k, "pid"))
	require.Empty(t, k.Threads())
}

func TestLoadUserOnce(t *testing.T) {
	k := program(t, kernel.Config{}, "long f(void) { return 1; }\n")
	require.ErrorContains(t, k.LoadUser(k.User()), "user program prog: prog is loaded already")
	addr, ok := k.Syms.Lookup("memcpy")
	require.True(t, ok)
	require.Greater(t, addr, uint64(kernel.PageOffset), "the kernel's own comes first")
	require.Less(t, userSym(t, k, "memcpy"), uint64(1<<30))
	require.Equal(t, "f+0x0 [user]", k.Syms.Name(userSym(t, k, "f")))
}

// A kernel without a program, a program that is none, too many arguments.
func TestStartUserErrors(t *testing.T) {
	k := boot(t, kernel.Config{})
	err := k.Do(0, func(c *kernel.CPU) error { _, err := c.StartUser("x", 0x400000); return err })
	require.ErrorContains(t, err, "task x: there is no user program")
	require.ErrorContains(t, k.LoadUser(k.Image()), "no __user_exit")
	require.NoError(t, k.LoadUser(compileUser(t, "long f(void) { return 1; }\n")))
	err = k.Do(0, func(c *kernel.CPU) error { _, err := c.StartUser("x", 0x400000, make([]uint64, 13)...); return err })
	require.ErrorContains(t, err, "task x: 13 arguments, at most 12")
}

// Tasks that end give everything back: thousands can come after one another.
func TestManyUserTasks(t *testing.T) {
	k := program(t, kernel.Config{}, "long f(long x) { return x * x; }\nlong die(void) { return *(volatile long *)8; }\n")
	for i := range uint64(3000) {
		require.Equal(t, int64(i*i), returns(t, k, "f", i))
		if i%10 == 0 {
			require.NotNil(t, user(t, k, "die").Death())
		}
	}
}
