package scenarios

import (
	"context"
	"embed"
	"fmt"
	"sync"

	"emukp/emu/x86"
	"emukp/guestimg"
	"emukp/scenarios/lang"
)

// objects are the compiled modules of the library's scenarios, by their
// guestimg.CacheKey: those scenarios run without a compiler.
//
//go:embed objcache
var objects embed.FS

func objectFile(key string) string { return "objcache/" + key + ".elf" }

// memo builds each thing once, also when several ask at a time.
type memo struct {
	mu sync.Mutex
	m  map[string]func() ([]byte, error)
}

func (c *memo) get(key string, build func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	if c.m == nil {
		c.m = map[string]func() ([]byte, error){}
	}
	once := c.m[key]
	if once == nil {
		once = sync.OnceValues(build)
		c.m[key] = once
	}
	c.mu.Unlock()
	return once()
}

// BuildLibrary compiles the modules of all scenarios of the library and
// returns them by the names of their files in objcache. Only go generate and
// tests need it.
func BuildLibrary(ctx context.Context) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, item := range List() {
		sc, err := item.Parse()
		if err != nil {
			return nil, err
		}
		for _, arch := range sc.Archs {
			for _, build := range []buildFunc{buildFor, buildUserFor} {
				key, data, err := build(ctx, sc, arch, item.ReadFile)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", item.Name, err)
				}
				if data != nil {
					out[key+".elf"] = data
				}
			}
		}
	}
	return out, nil
}

type buildFunc func(ctx context.Context, sc *lang.Scenario, arch string, read func(string) ([]byte, error)) (string, []byte, error)

func buildUserFor(ctx context.Context, sc *lang.Scenario, arch string, read func(string) ([]byte, error)) (string, []byte, error) {
	if sc.Guest.User == nil {
		return "", nil, nil
	}
	srcs, err := sourcesOf(sc.Guest.User, read)
	if err != nil || len(srcs) == 0 {
		return "", nil, err
	}
	a, err := x86.ByName(arch)
	if err != nil {
		return "", nil, err
	}
	data, err := guestimg.BuildUser(ctx, guestUser, srcs, a, guestimg.Options{})
	return guestimg.UserCacheKey(srcs, a), data, err
}

func buildFor(ctx context.Context, sc *lang.Scenario, arch string, read func(string) ([]byte, error)) (string, []byte, error) {
	srcs, err := sourcesOf(&sc.Guest.Code, read)
	if err != nil || len(srcs) == 0 {
		return "", nil, err
	}
	a, err := x86.ByName(arch)
	if err != nil {
		return "", nil, err
	}
	kernel, err := guestimg.Builtin(a)
	if err != nil {
		return "", nil, err
	}
	const base = guestimg.ModuleBase
	data, err := guestimg.BuildModule(ctx, guestModule, srcs, base, kernel, guestimg.Options{})
	return guestimg.CacheKey(srcs, base, kernel), data, err
}
