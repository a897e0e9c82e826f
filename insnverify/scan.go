package insnverify

import (
	"cmp"
	"context"
	"encoding/hex"
	"regexp"
	"slices"

	"emukp/kprobes/insn"
)

// A Scan is what kprobes knows about every instruction of a binary.
type Scan struct {
	File         string `json:"file"`
	Bits         int    `json:"bits"`
	Stripped     bool   `json:"stripped"` // without .symtab: by section, not by function
	Functions    int    `json:"functions"`
	Labels       int    `json:"labels"` // symbols without a type, outside of functions
	Bytes        uint64 `json:"bytes"`
	Outside      uint64 `json:"outside"` // of the bytes: those that no symbol names, analysed linearly
	Instructions int    `json:"instructions"`
	Undecodable  int    `json:"undecodable"` // places, a byte each

	Classes []ClassCount   `json:"classes"` // most frequent first
	RIPRel  RIPRelCount    `json:"rip_relative"`
	Models  map[string]How `json:"models"`

	UndecodableListed []Place `json:"undecodable_listed"` // the first of them

	Lengths *Lengths `json:"lengths,omitempty"` // of the whole file
}

// ClassCount is one row of the instruction table.
type ClassCount struct {
	Class string `json:"class"`
	Count int    `json:"count"`
}

// RIPRelCount is about operands that are relative to ip: what their copies take by each strategy.
type RIPRelCount struct {
	Count     int            `json:"count"`
	NoScratch int            `json:"no_scratch_register"`
	NoSegment map[string]int `json:"no_segment"` // by reason
}

// How is how a model runs the instructions that it lets be probed, and what it refuses.
type How struct {
	Stepped   int            `json:"stepped"`
	Emulated  int            `json:"emulated"`
	Boostable int            `json:"boostable"` // of all: those that may be boosted, where that is on
	Refused   map[string]int `json:"refused"`   // by reason
}

// A Place is bytes at an address.
type Place struct {
	Addr  uint64 `json:"addr"`
	Where string `json:"where"`
	Bytes string `json:"bytes"`
	Why   string `json:"why"`
}

// ScanOptions of ScanBinary.
type ScanOptions struct {
	// Symbol, if not nil, picks the functions whose names match.
	Symbol   *regexp.Regexp
	Lengths  bool // compare the decoder's lengths with objdump's
	Progress func(what string, done, all int)
}

// ScanBinary analyses every instruction of a binary: functions by symbol, linear within each, and what lies between them linearly
// too; a stripped file by section.
func ScanBinary(ctx context.Context, b *Binary, o ScanOptions) (*Scan, error) {
	s := &Scan{File: b.Name, Bits: b.Bits, Stripped: b.Stripped, Models: map[string]How{}, UndecodableListed: []Place{}}
	s.RIPRel.NoSegment = map[string]int{}
	classic, modern := How{Refused: map[string]int{}}, How{Refused: map[string]int{}}
	classes := map[string]int{}
	spans := b.spansOf(o.Symbol)
	var all, done uint64
	for _, sp := range spans {
		all += sp.size
		switch sp.kind {
		case ofFunc:
			s.Functions++
		case ofLabel:
			s.Labels++
		case outside:
			s.Outside += sp.size
		}
	}
	n := 0
	for _, sp := range spans {
		s.Bytes += sp.size
		b.walkSpan(sp, func(p place) bool {
			if n++; n%65536 == 0 {
				if o.Progress != nil {
					o.Progress(b.Name, int((done+p.addr-sp.addr)>>10), int(all>>10))
				}
				if ctx.Err() != nil {
					return false
				}
			}
			info, err := insn.Analyze(p.code, b.Bits)
			if err != nil || p.err != nil {
				s.undecodable(b, p)
				return true
			}
			s.Instructions++
			classes[info.Class.Name]++
			classic.add(&info, insn.Classic)
			modern.add(&info, insn.Modern)
			s.addRIPRel(&info)
			return true
		})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		done += sp.size
	}
	s.Models["classic"], s.Models["modern"] = classic, modern
	if o.Lengths {
		var err error
		if s.Lengths, err = CompareLengths(ctx, b); err != nil {
			return nil, err
		}
	}
	for name, count := range classes {
		s.Classes = append(s.Classes, ClassCount{name, count})
	}
	slices.SortFunc(s.Classes, func(a, b ClassCount) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class)) })
	return s, nil
}

func (s *Scan) undecodable(b *Binary, p place) {
	s.Undecodable++
	if len(s.UndecodableListed) < maxListed {
		why := "an instruction longer than 15 bytes"
		if p.err != nil {
			why = p.err.Error()[len("x86: "):]
		}
		s.UndecodableListed = append(s.UndecodableListed, Place{p.addr, b.Where(p.section, p.addr), hex.EncodeToString(p.code), why})
	}
}

func (h *How) add(i *insn.Info, m insn.Model) {
	if err := i.Check(m); err != nil {
		h.Refused[i.Class.Name+": "+i.Class.Verdict(m).Why]++
		return
	}
	if i.Boostable {
		h.Boostable++
	}
	if m == insn.Modern && i.Emulate != insn.EmulateNone && !i.Emulate.OfUprobes() {
		h.Emulated++
	} else {
		h.Stepped++
	}
}

func (s *Scan) addRIPRel(i *insn.Info) {
	if !i.RIPRel {
		return
	}
	s.RIPRel.Count++
	if _, ok := i.ScratchReg(0); !ok {
		s.RIPRel.NoScratch++
	}
	if why := i.UsesSegment(); why != "" {
		s.RIPRel.NoSegment[why]++
	}
}
