// Package lang is the scenario language: YAML text in, a checked syntax tree
// with positions out, and the expressions (Starlark) that the tree holds.
//
//	YAML text --Parse--> *Scenario --(package scenarios walks it)--> a run
//	              |          |
//	           Errors      *Expr, *Template --Eval(*Env)--> values
//	                                              |
//	                              World, HandlerScope: what the runner shows
//
// No emulator is in here: the runner implements [World] and [HandlerScope], and
// everything that can be checked without a guest is checked by [Parse], so that
// a bad file is refused with FILE:LINE:COLUMN before anything runs.
//
// Files: ast.go is the tree; yaml*.go turn goccy's YAML tree into a small
// one; keys.go is the table of keys; parse*.go read the sections; check.go
// checks names once the whole file is known; expr.go, env.go, values.go and
// builtins.go are the expressions; matchtrace.go is the `trace:` expectation.
package lang
