package lang

import "slices"

// signalNames are those of Linux on x86, by number from 1 on, without
// SIGSTKFLT, which nobody sends.
var signalNames = words("SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 " +
	"SIGPIPE SIGALRM SIGTERM SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM " +
	"SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS")

// SignalNames are the signals that a scenario may inject.
func SignalNames() []string { return slices.Clone(signalNames) }
