package unicorn

/*
#include "shim.h"
*/
import "C"

import "unsafe"

type place struct{ off, size uintptr }

// stateLayout is where C has the fields of struct ukp_state, for a test: cgo
// may not be used in test files.
func stateLayout() (fields map[string]place, size uintptr) {
	var s C.ukp_state
	return map[string]place{
		"R":          {unsafe.Offsetof(s.R), unsafe.Sizeof(s.R)},
		"RIP":        {unsafe.Offsetof(s.RIP), unsafe.Sizeof(s.RIP)},
		"RFLAGS":     {unsafe.Offsetof(s.RFLAGS), unsafe.Sizeof(s.RFLAGS)},
		"Dirty":      {unsafe.Offsetof(s.Dirty), unsafe.Sizeof(s.Dirty)},
		"CS":         {unsafe.Offsetof(s.CS), unsafe.Sizeof(s.CS)},
		"SS":         {unsafe.Offsetof(s.SS), unsafe.Sizeof(s.SS)},
		"Exit":       {unsafe.Offsetof(s.Exit), unsafe.Sizeof(s.Exit)},
		"Vector":     {unsafe.Offsetof(s.Vector), unsafe.Sizeof(s.Vector)},
		"InFlight":   {unsafe.Offsetof(s.InFlight), unsafe.Sizeof(s.InFlight)},
		"Code":       {unsafe.Offsetof(s.Code), unsafe.Sizeof(s.Code)},
		"CR2":        {unsafe.Offsetof(s.CR2), unsafe.Sizeof(s.CR2)},
		"Addr":       {unsafe.Offsetof(s.Addr), unsafe.Sizeof(s.Addr)},
		"Err":        {unsafe.Offsetof(s.Err), unsafe.Sizeof(s.Err)},
		"Fresh":      {unsafe.Offsetof(s.Fresh), unsafe.Sizeof(s.Fresh)},
		"BlockAddr":  {unsafe.Offsetof(s.BlockAddr), unsafe.Sizeof(s.BlockAddr)},
		"BlockSize":  {unsafe.Offsetof(s.BlockSize), unsafe.Sizeof(s.BlockSize)},
		"BlockInsns": {unsafe.Offsetof(s.BlockInsns), unsafe.Sizeof(s.BlockInsns)},
		"BlockFlags": {unsafe.Offsetof(s.BlockFlags), unsafe.Sizeof(s.BlockFlags)},
		"NewAddr":    {unsafe.Offsetof(s.NewAddr), unsafe.Sizeof(s.NewAddr)},
		"NewSize":    {unsafe.Offsetof(s.NewSize), unsafe.Sizeof(s.NewSize)},
		"NewInsns":   {unsafe.Offsetof(s.NewInsns), unsafe.Sizeof(s.NewInsns)},
		"SpaceKey":   {unsafe.Offsetof(s.SpaceKey), unsafe.Sizeof(s.SpaceKey)},
		"Edges":      {unsafe.Offsetof(s.Edges), unsafe.Sizeof(s.Edges)},
		"Insns":      {unsafe.Offsetof(s.Insns), unsafe.Sizeof(s.Insns)},
		"InsnLimit":  {unsafe.Offsetof(s.InsnLimit), unsafe.Sizeof(s.InsnLimit)},
		"Hard":       {unsafe.Offsetof(s.Hard), unsafe.Sizeof(s.Hard)},
		"Step":       {unsafe.Offsetof(s.Step), unsafe.Sizeof(s.Step)},
		"GuestTF":    {unsafe.Offsetof(s.GuestTF), unsafe.Sizeof(s.GuestTF)},
		"IRQ":        {unsafe.Offsetof(s.IRQ), unsafe.Sizeof(s.IRQ)},
		"NMIBlocked": {unsafe.Offsetof(s.NMIBlocked), unsafe.Sizeof(s.NMIBlocked)},
		"Door":       {unsafe.Offsetof(s.Door), unsafe.Sizeof(s.Door)},
		"StackPage":  {unsafe.Offsetof(s.StackPage), unsafe.Sizeof(s.StackPage)},
		"Doors":      {unsafe.Offsetof(s.Doors), unsafe.Sizeof(s.Doors)},
		"Lazy":       {unsafe.Offsetof(s.Lazy), unsafe.Sizeof(s.Lazy)},
		"Tables":     {unsafe.Offsetof(s.Tables), unsafe.Sizeof(s.Tables)},
		"IDTBase":    {unsafe.Offsetof(s.IDTBase), unsafe.Sizeof(s.IDTBase)},
		"TSSBase":    {unsafe.Offsetof(s.TSSBase), unsafe.Sizeof(s.TSSBase)},
		"IDTLimit":   {unsafe.Offsetof(s.IDTLimit), unsafe.Sizeof(s.IDTLimit)},
		"TSSLimit":   {unsafe.Offsetof(s.TSSLimit), unsafe.Sizeof(s.TSSLimit)},
	}, unsafe.Sizeof(s)
}
