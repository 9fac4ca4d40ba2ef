// All that tracedump ever writes into a tracee: results of system calls that a tracer would otherwise change.
// Monitor thread; the tracee is in a ptrace stop. x86-64 alone has all of it, as said below.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>

namespace tracedump {

/// The latest system call of a tracee that was restarted.
struct Restart {
    std::array<std::uint64_t, 8> call{};  // where from, with which arguments
    std::chrono::steady_clock::time_point first{};
    std::chrono::steady_clock::time_point last{};
};

/// A stop of ours, or a signal that the kernel would have discarded but for us, made a system call return EINTR that
/// would not have (signal(7), "Interruption of system calls"; ptrace.md C1, C2): turns that into -ERESTARTNOHAND, with
/// which the kernel restarts the call unless a handler runs first; then the program sees EINTR after all. x86-64 only;
/// elsewhere the call keeps its EINTR.
///
/// A relative timeout starts over. So that a trickle of ignored signals cannot put it off for ever, epoll_wait(2) keeps
/// its EINTR once its restarts have put it off by its timeout.
void restart_interrupted_call(pid_t tid, Restart& latest);

/// Takes CLONE_UNTRACED from the first argument of the clone(2) that the tracee is about to make, so that the child is
/// traced as all others are. `audit_arch` as PTRACE_GET_SYSCALL_INFO tells it. x86-64 and aarch64.
void hide_clone_untraced(pid_t tid, std::uint32_t audit_arch);

/// Puts the flag back into the register: in the parent at the call's exit, in the child at its first stop. Nothing to
/// do on aarch64, where that register has taken the result.
void restore_clone_untraced(pid_t tid, std::uint32_t audit_arch);

/// In a seccomp stop: the call will not be made, and return ENOSYS, as it does for SECCOMP_RET_TRACE without a tracer
/// (seccomp(2)). x86-64 and aarch64.
void refuse_call(pid_t tid);

}  // namespace tracedump
