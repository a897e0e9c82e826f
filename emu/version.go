package emu

import "emukp/emu/unicorn"

// EngineVersion is the version of libunicorn, such as "2.0.1".
func EngineVersion() string { return unicorn.Version() }
