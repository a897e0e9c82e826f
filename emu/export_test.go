package emu

import "emukp/emu/unicorn"

const (
	idtr = unicorn.IDTR
	gdtr = unicorn.GDTR
	tr   = unicorn.TR
)
