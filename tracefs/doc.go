// Package tracefs is probe events: probes that are written as text, and print
// what they fetch (kernel/trace/trace_kprobe.c and trace_probe.c, Linux 6.1).
//
//	kprobe_events   p:grp/ev vfs_read+4 name=+0(+8($arg1)):string
//	    |           parse.go, fetcharg.go: words, errors with a caret
//	    v
//	Probe           a kprobes.Kprobe or kretprobes.Kretprobe; each argument is
//	    |           compiled to a few instructions: load, dereference, store,
//	    |           bit field, loop
//	    v  hit
//	record          fetch.go: registers, memory that may be absent, strings
//	    |
//	    v  read
//	trace           print.go: ev: (vfs_read+0x4/0x40) name="hello"
//
// It is an ordinary user of the two subsystems below it. The files of tracefs
// are methods: Events.Write and Read are kprobe_events, Enable is
// events/GRP/EVENT/enable, Profile is kprobe_profile, ErrorLog is error_log, Lines
// is what the events have printed.
package tracefs
