package kernel

import (
	"fmt"
	"slices"

	"emukp/emu/x86"
	"emukp/guestimg"
)

// A Module is guest code that was linked to the kernel and loaded.
type Module struct {
	Name  string
	Image *guestimg.Image
}

// Contains says whether an address lies in the module.
func (m *Module) Contains(addr uint64) bool {
	start, end := m.Image.Range()
	return addr >= start && addr < end
}

// ModuleBase is where the next module has to be linked.
func (k *Kernel) ModuleBase() uint64 { return k.mm.modNext }

// ReserveModule keeps the addresses that an image was linked for, so that
// ModuleBase moves on. The image can be loaded, and loaded again after it was
// unloaded, at any time.
func (k *Kernel) ReserveModule(im *guestimg.Image) error {
	start, end := im.Range()
	end = (end + x86.PageMask) &^ uint64(x86.PageMask)
	switch {
	case start < k.mm.modNext:
		return fmt.Errorf("module %s: linked at %#x, free memory begins at %#x", im.Name, start, k.mm.modNext)
	case end > k.mm.modEnd:
		return fmt.Errorf("module %s: %d KiB are too many, the module area has %d left: %w",
			im.Name, (end-start)>>10, (k.mm.modEnd-start)>>10, ENOMEM)
	}
	k.mm.modNext = end
	return nil
}

// LoadModule maps a module that was linked for ModuleBase, or reserved, and
// makes its symbols and tables known; its names hide the kernel's. Nothing of it
// is run.
func (k *Kernel) LoadModule(name string, im *guestimg.Image) (*Module, error) {
	return k.loadModule(name, im, rankGuest)
}

// LoadKernelModule is LoadModule for a module as Linux knows them: where it has a
// name of the kernel's, the kernel's is found.
func (k *Kernel) LoadKernelModule(name string, im *guestimg.Image) (*Module, error) {
	return k.loadModule(name, im, rankModule)
}

func (k *Kernel) loadModule(name string, im *guestimg.Image, r rank) (*Module, error) {
	start, _ := im.Range()
	if start >= k.mm.modNext {
		if err := k.ReserveModule(im); err != nil {
			return nil, err
		}
	}
	for _, m := range k.modules {
		if a, b := m.Image.Range(); start >= a && start < b {
			return nil, fmt.Errorf("module %s: module %s is at %#x", name, m.Name, a)
		}
	}
	if err := k.addImage(im, name, r); err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	m := &Module{name, im}
	k.modules = append(k.modules, m)
	return m, nil
}

// UnloadModule takes a module's memory, symbols and tables away (kernel/module.c
// free_module). Whoever still runs in it faults at its next instruction. The
// probes in its text are somebody else's to kill first.
func (k *Kernel) UnloadModule(m *Module) error {
	i := slices.Index(k.modules, m)
	if i < 0 {
		return fmt.Errorf("module %s is not loaded: %w", m.Name, ENOENT)
	}
	k.modules = slices.Delete(k.modules, i, i+1)
	k.Syms.remove(m.Image)
	start, end := m.Image.Range()
	k.Traps.ExTable.Remove(start, end)
	for _, c := range k.CPUs {
		if err := c.V.FlushCode(start, end-start); err != nil {
			return err
		}
	}
	return k.mm.unplace(m.Image)
}

// Modules are the loaded ones, in the order of loading.
func (k *Kernel) Modules() []*Module { return slices.Clone(k.modules) }

// Images are the kernel's and the modules' images, in the order of loading.
func (k *Kernel) Images() []*guestimg.Image {
	out := []*guestimg.Image{k.image}
	for _, m := range k.modules {
		out = append(out, m.Image)
	}
	return out
}
