// Signals as data. main blocks them before the first thread starts, so that none ever interrupts or ends a thread;
// the session reads those that mean something from a descriptor, the monitor takes SIGCHLD itself. The state that
// was found is kept for the launched command, which must inherit it unchanged (signal(7), ptrace.md A13).
#pragma once

#include <csignal>

namespace tracedump {

/// The signal mask and the dispositions that tracedump was started with.
class InheritedSignals {
public:
    /// Blocks every signal that can be blocked but the synchronous faults, and sets SIGCHLD to its default, since
    /// a parent that ignored it would have the kernel reap the command unseen. Call once, in main, first.
    static InheritedSignals take_over();

    /// Puts back what was found. Async-signal-safe: the launched command calls it between fork and exec.
    void restore() const;

    /// Whether `signal` was ignored when tracedump started (nohup sets SIGHUP so).
    bool ignored(int signal) const;

private:
    sigset_t mask_{};
    struct sigaction child_ {};  // SIGCHLD is the one disposition that we change
};

/// Ends this process by `signal`, without a core file of our own. Returns only if the signal's default is harmless.
void die_by(int signal);

}  // namespace tracedump
