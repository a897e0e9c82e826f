// Package unicorn is the project's own thin binding to libunicorn, and the
// only place with cgo. One Engine is one virtual CPU:
//
//	Go                          C (shim.c)                 libunicorn
//	State.R/RIP/RFLAGS  ----->  write what is dirty
//	Engine.Run()        ----->  uc_emu_start  ---------->  guest runs
//	                            hooks note and stop  <---  int3, #PF, hlt ...
//	State.Exit, R ...   <-----  read 18 registers
//
// shim.c is one run, hooks.c what the engine calls, door.c what it does
// without an exit, access.c the rest. There are no callbacks from C to Go.
//
// What the engine gets wrong or does
// not tell is cured here (the fault in flight, the error code of a fault,
// privilege changes, counting) and each such fact has a test in
// quirks_test.go. Nothing depends on the engine's version: layout.go finds
// out by experiment what is where.
//
// Names follow the upstream binding where the same thing is meant.
package unicorn
