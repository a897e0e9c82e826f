package tracefs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"emukp/kernel"
)

// Events come and go while three CPUs run into them: every hit of an enabled
// event is a line, no call returns anything else, and the same seed gives
// the same trace.
func TestManyCPUs(t *testing.T) {
	for seed := range uint64(4) {
		first := busyCPUs(t, seed)
		require.Equal(t, first, busyCPUs(t, seed), "seed %d", seed)
	}
}

func busyCPUs(t *testing.T, seed uint64) []string {
	r := newRig(t, kernel.Config{CPUs: 4})
	r.k.SetPolicy(kernel.NewRandom(seed, 40))
	caller := r.sym("c_caller")
	const calls = 60
	for cpu := 1; cpu < 4; cpu++ {
		require.NoError(t, r.k.Spawn(cpu, func(c *kernel.CPU) error {
			for i := range calls {
				ret, err := c.Call(caller, uint64(i))
				if err != nil {
					return err
				}
				if ret != uint64(i)+1 {
					return fmt.Errorf("c_caller(%d) = %d", i, ret)
				}
			}
			return nil
		}))
	}
	var hits uint64
	require.NoError(t, r.k.Spawn(0, func(c *kernel.CPU) error {
		for i := range 12 {
			line := []string{"p:ev%d c_inner+5 a=%%di:u64", "p:ev%d c_inner a=%%di:u64", "r:ev%d c_inner a=$retval:u64"}[i%3]
			p, err := r.e.Create(c, fmt.Sprintf(line, i))
			if err != nil {
				return err
			}
			if err := r.e.Enable(c, "", p.Event(), true); err != nil {
				return err
			}
			c.Yield()
			if err := r.e.Delete(c, p); !errors.Is(err, kernel.EBUSY) {
				return fmt.Errorf("deleting an enabled event: %w", err)
			}
			if err := r.e.Enable(c, "", p.Event(), false); err != nil {
				return err
			}
			if err := r.e.Delete(c, p); err != nil {
				return err
			}
			hits += p.Hits()
		}
		return nil
	}))
	require.NoError(t, r.k.Wait())
	lines := r.e.Lines()
	require.NotEmpty(t, lines)
	require.LessOrEqual(t, uint64(len(lines)), hits, "a hit that was under way when the event was disabled is no line")
	for _, l := range lines {
		require.True(t, strings.Contains(l, "c_inner") && strings.Contains(l, " a="), l)
	}
	require.Zero(t, r.kp.Sites())
	return lines
}
