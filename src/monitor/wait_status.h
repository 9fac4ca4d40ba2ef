// A wait(2) status as a value that names what happened, as ptrace(2) tells it for a tracee that was seized. Can be
// built without a process, for tests.
#pragma once

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <csignal>

namespace tracedump {

class WaitStatus {
public:
    explicit WaitStatus(int raw) : raw_(raw) {}

    enum class Kind {
        exited,        // exit_code()
        killed,        // signal()
        syscall_stop,  // entry or exit: PTRACE_GET_SYSCALL_INFO tells
        event_stop,    // event(): fork, vfork, clone, exec, seccomp
        group_stop,    // stopped by signal(), as a whole process: answer with PTRACE_LISTEN
        trap_stop,     // PTRACE_EVENT_STOP otherwise: a new child's first stop, an interrupt, or SIGCONT ended a stop
        signal_stop,   // signal() is about to be delivered: pass it on
    };

    Kind kind() const {
        if (WIFEXITED(raw_)) return Kind::exited;
        if (WIFSIGNALED(raw_)) return Kind::killed;
        if (event() == PTRACE_EVENT_STOP) return is_stopping(WSTOPSIG(raw_)) ? Kind::group_stop : Kind::trap_stop;
        if (event() != 0) return Kind::event_stop;
        // PTRACE_O_TRACESYSGOOD sets the bit that tells this from a SIGTRAP of the tracee's own.
        if (WSTOPSIG(raw_) == (SIGTRAP | 0x80)) return Kind::syscall_stop;
        return Kind::signal_stop;
    }

    int raw() const { return raw_; }
    int exit_code() const { return WEXITSTATUS(raw_); }
    int signal() const { return WIFSIGNALED(raw_) ? WTERMSIG(raw_) : WSTOPSIG(raw_); }
    /// PTRACE_EVENT_*, or 0.
    int event() const { return WIFSTOPPED(raw_) ? raw_ >> 16 : 0; }
    bool ended() const { return WIFEXITED(raw_) || WIFSIGNALED(raw_); }

    static WaitStatus exit(int code) { return WaitStatus((code & 0xff) << 8); }
    static WaitStatus death(int signal) { return WaitStatus(signal & 0x7f); }
    static WaitStatus stop(int signal, int event = 0) { return WaitStatus(event << 16 | (signal & 0xff) << 8 | 0x7f); }

    /// Signals whose default is to stop the process (signal(7)).
    static bool is_stopping(int signal) {
        return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    }

private:
    int raw_;
};

}  // namespace tracedump
