package kernel

import "strings"

// Printk adds text to the log; lines end at newlines. A level prefix (\001N)
// is dropped.
func (c *CPU) Printk(text string) {
	k := c.K
	if len(text) > 1 && text[0] == 1 {
		text = text[2:]
	}
	k.logPart += text
	for {
		line, rest, ok := strings.Cut(k.logPart, "\n")
		if !ok {
			return
		}
		k.logPart = rest
		k.Log = append(k.Log, line)
		if k.Trace.Enabled {
			k.Trace.Emit(c, Event{Kind: EvLog, Name: line})
		}
	}
}
