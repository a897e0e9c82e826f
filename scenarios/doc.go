// Package scenarios runs scenario files: it wires what package lang has read
// to a machine, a kernel and its probes, and reports what came of it.
//
//	*.yaml --lang.Parse--> *lang.Scenario --Run--> *Result --> text, JSON, JUnit
//	                            |                    |
//	          guest: --Builder--> module image       +-- trace: ftrace, JSON, Perfetto
//	                   (embedded objects, or cc)
//
// [Run] does the whole of it, [Check] stops before the first step: it finds
// out whether the file's guest code compiles and its probes can be placed. The
// library of scenarios that comes with the program is [List] and [Get].
//
// Files: run.go is the order of events; check.go what is not supported; build.go
// and cache.go the guest code; probes.go, actions.go, steps.go, memory.go and
// inject.go carry out the sections of a file; world.go is what expressions
// see; result.go, text.go, json.go, junit.go, traceout.go are the reports.
package scenarios

//go:generate go run ./mkcache
