package kmod

import (
	"fmt"

	"emukp/guestimg"
)

// layout is where the members of the structs lie (guestimg's asm-offsets.c).
type layout struct {
	kprobe struct {
		size, nmissed, addr, symbolName, offset, pre, post, fault, brk, opcode, flags uint64
	}
	jprobe    struct{ size, kp, entry uint64 }
	kretprobe struct {
		size, kp, handler, entry, maxactive, nmissed, dataSize uint64
	}
	instance struct{ rp, retAddr, task, data uint64 }
	module   struct{ state, refcnt uint64 }
}

func (l *layout) resolve(im *guestimg.Image) error {
	for _, f := range []struct {
		name string
		to   *uint64
	}{
		{"size_kprobe", &l.kprobe.size}, {"off_kprobe_nmissed", &l.kprobe.nmissed}, {"off_kprobe_addr", &l.kprobe.addr},
		{"off_kprobe_symbol_name", &l.kprobe.symbolName}, {"off_kprobe_offset", &l.kprobe.offset},
		{"off_kprobe_pre_handler", &l.kprobe.pre}, {"off_kprobe_post_handler", &l.kprobe.post},
		{"off_kprobe_fault_handler", &l.kprobe.fault}, {"off_kprobe_break_handler", &l.kprobe.brk},
		{"off_kprobe_opcode", &l.kprobe.opcode},
		{"off_kprobe_flags", &l.kprobe.flags},
		{"size_jprobe", &l.jprobe.size}, {"off_jprobe_kp", &l.jprobe.kp}, {"off_jprobe_entry", &l.jprobe.entry},
		{"size_kretprobe", &l.kretprobe.size}, {"off_kretprobe_kp", &l.kretprobe.kp},
		{"off_kretprobe_handler", &l.kretprobe.handler}, {"off_kretprobe_entry_handler", &l.kretprobe.entry},
		{"off_kretprobe_maxactive", &l.kretprobe.maxactive}, {"off_kretprobe_nmissed", &l.kretprobe.nmissed},
		{"off_kretprobe_data_size", &l.kretprobe.dataSize},
		{"off_kretprobe_instance_rp", &l.instance.rp}, {"off_kretprobe_instance_ret_addr", &l.instance.retAddr},
		{"off_kretprobe_instance_task", &l.instance.task}, {"off_kretprobe_instance_data", &l.instance.data},
		{"off_module_state", &l.module.state}, {"off_module_refcnt", &l.module.refcnt},
	} {
		v, ok := im.Abs("__" + f.name)
		if !ok {
			return fmt.Errorf("the guest kernel has no __%s", f.name)
		}
		*f.to = v
	}
	return nil
}
