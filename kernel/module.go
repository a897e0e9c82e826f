package kernel

import (
	"fmt"

	"emukp/emu/x86"
	"emukp/guestimg"
)

// A Module is guest code that was linked to the kernel and loaded.
type Module struct {
	Name  string
	Image *guestimg.Image
}

// ModuleBase is where the next module has to be linked.
func (k *Kernel) ModuleBase() uint64 { return k.mm.modNext }

// LoadModule maps a module that was linked for ModuleBase and makes its
// symbols known. Nothing of it is run.
func (k *Kernel) LoadModule(name string, im *guestimg.Image) (*Module, error) {
	start, end := im.Range()
	if start < k.mm.modNext {
		return nil, fmt.Errorf("module %s: linked at %#x, free memory begins at %#x", name, start, k.mm.modNext)
	}
	if err := k.addImage(im, name); err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	k.mm.modNext = (end + x86.PageMask) &^ uint64(x86.PageMask)
	m := &Module{name, im}
	k.modules = append(k.modules, m)
	return m, nil
}

// Images are the kernel's and the modules' images, in the order of loading.
func (k *Kernel) Images() []*guestimg.Image {
	out := []*guestimg.Image{k.image}
	for _, m := range k.modules {
		out = append(out, m.Image)
	}
	return out
}
