// The ptrace(2) requests that tracedump makes, by name. Monitor thread only: the kernel answers nobody else.
// A tracee can be killed at any moment, in any stop; every request may then fail with ESRCH, which is no error.
// Each returns 0 or an errno value.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <cerrno>
#include <cstdint>

namespace tracedump::ptrace_calls {

template <typename Data>
int request(__ptrace_request what, pid_t tid, std::uintptr_t address, Data data) {
    return ptrace(what, tid, address, data) < 0 ? errno : 0;
}

inline int seize(pid_t tid, long options) { return request(PTRACE_SEIZE, tid, 0, options); }
inline int interrupt(pid_t tid) { return request(PTRACE_INTERRUPT, tid, 0, 0L); }
inline int listen(pid_t tid) { return request(PTRACE_LISTEN, tid, 0, 0L); }
/// Goes on without stops at system calls, delivering `signal` (0: none).
inline int go_on(pid_t tid, int signal) { return request(PTRACE_CONT, tid, 0, static_cast<long>(signal)); }
/// Goes on to the next entry or exit of a system call.
inline int go_to_syscall(pid_t tid, int signal) { return request(PTRACE_SYSCALL, tid, 0, static_cast<long>(signal)); }

inline int event_message(pid_t tid, unsigned long& message) { return request(PTRACE_GETEVENTMSG, tid, 0, &message); }

/// The word at an address that is a multiple of its size. Never waits for a page that the tracee's own threads have to
/// provide (userfaultfd(2)), as process_vm_readv(2) does: without permission to retry, such a fault fails.
inline int peek(pid_t tid, std::uintptr_t address, long& word) {
    errno = 0;
    word = ptrace(PTRACE_PEEKDATA, tid, address, 0L);
    return errno;
}

/// info.op is PTRACE_SYSCALL_INFO_NONE, ENTRY, EXIT or SECCOMP.
inline int syscall_info(pid_t tid, __ptrace_syscall_info& info) {
    const long size = ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info);
    return size <= 0 ? errno : 0;
}

}  // namespace tracedump::ptrace_calls
