package kernel

import "strings"

// maxLogLine is the longest line of the log in bytes (LOG_LINE_MAX); a longer
// one is cut into several.
const maxLogLine = 1024

// contLevel is the level of KERN_CONT.
const contLevel = 'c'

// Printk adds text to the log; lines end at newlines, or when the CPUs' work
// is done. A level prefix (\001N) is dropped and ends a line that was left open,
// but for KERN_CONT (kernel/printk/printk.c 4.14 vprintk_emit). Text without
// one goes on, as in 2.6.
func (c *CPU) Printk(text string) {
	if len(text) > 1 && text[0] == 1 {
		if text[1] != contLevel && c.K.logPart != "" {
			c.logLine(c.K.logPart)
			c.K.logPart = ""
		}
		text = text[2:]
	}
	for {
		line, rest, ok := strings.Cut(text, "\n")
		c.K.logPart += line
		for len(c.K.logPart) > maxLogLine {
			c.logLine(c.K.logPart[:maxLogLine])
			c.K.logPart = c.K.logPart[maxLogLine:]
		}
		if !ok {
			return
		}
		c.logLine(c.K.logPart)
		c.K.logPart, text = "", rest
	}
}

func (c *CPU) logLine(line string) {
	c.K.Log = append(c.K.Log, line)
	if c.K.Trace.Enabled {
		c.K.Trace.Emit(c, Event{Kind: EvLog, Name: line})
	}
}

// flushLog ends a line that printk left open.
func (k *Kernel) flushLog() {
	if k.logPart != "" {
		part := k.logPart
		k.logPart = ""
		k.CPUs[0].logLine(part)
	}
}
