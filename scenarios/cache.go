package scenarios

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"sync"

	"emukp/guestimg"
)

// objects are the compiled modules of the library's scenarios, by their
// guestimg.CacheKey: those scenarios run without a compiler.
//
//go:embed objcache
var objects embed.FS

func objectFile(key string) string { return "objcache/" + key + ".elf" }

// memo builds each thing once, also when several ask at a time.
type memo[T any] struct {
	mu sync.Mutex
	m  map[string]func() (T, error)
}

func (c *memo[T]) get(key string, build func() (T, error)) (T, error) {
	c.mu.Lock()
	if c.m == nil {
		c.m = map[string]func() (T, error){}
	}
	once := c.m[key]
	mine := once == nil
	if mine {
		once = sync.OnceValues(build)
		c.m[key] = once
	}
	c.mu.Unlock()
	v, err := once()
	if err != nil && !mine {
		return build() // for an error that names this one's files
	}
	return v, err
}

// BuildLibrary compiles the guest code of all scenarios of the library and
// returns it by the names of the files in objcache. Only go generate and tests
// need it.
func BuildLibrary(ctx context.Context) (map[string][]byte, error) {
	out := map[string][]byte{}
	b := NewBuilder()
	b.record = func(file string, data []byte) { out[file] = data }
	for _, item := range List() {
		sc, err := item.Parse()
		if err != nil {
			return nil, err
		}
		for _, arch := range sc.Archs {
			if errs := Check(sc, arch, Options{Context: ctx, Builder: b, ReadFile: item.ReadFile}); len(errs) > 0 {
				return nil, fmt.Errorf("%s: %w", item.Name, errs[0])
			}
		}
	}
	return out, nil
}

// A moduleFile is what objcache keeps of a kernel module beside its program.
type moduleFile struct {
	Unknown []string        `json:"unknown,omitempty"`
	Needs   []guestimg.Need `json:"needs,omitempty"`
}

// encodeModule are the files of a built module: KEY.elf if it could be linked,
// and KEY.json.
func encodeModule(key string, m *guestimg.KernelModule, put func(file string, data []byte)) error {
	text, err := json.Marshal(moduleFile{m.Unknown, m.Needs})
	if err != nil {
		return err
	}
	put(key+".json", append(text, '\n'))
	if m.Data != nil {
		put(key+".elf", m.Data)
	}
	return nil
}

// decodeModule finds a module in objcache; nil when it is not there.
func decodeModule(name, key string) (*guestimg.KernelModule, error) {
	text, err := objects.ReadFile("objcache/" + key + ".json")
	if err != nil {
		return nil, nil
	}
	var f moduleFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	m := &guestimg.KernelModule{Unknown: f.Unknown, Needs: f.Needs}
	if len(f.Unknown) > 0 {
		return m, nil
	}
	if m.Data, err = objects.ReadFile(objectFile(key)); err != nil {
		return nil, nil
	}
	m.Image, err = guestimg.Load(name, m.Data)
	return m, err
}
