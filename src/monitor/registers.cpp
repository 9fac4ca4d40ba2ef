#include "monitor/registers.h"

#include <elf.h>
#include <linux/audit.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <cerrno>

namespace tracedump {

namespace {

[[maybe_unused]] constexpr unsigned long long kCloneUntraced = CLONE_UNTRACED;

}  // namespace

#if defined(__x86_64__)

namespace {

constexpr long long kRestartNoHandler = 514;  // ERESTARTNOHAND, include/linux/errno.h; never seen by programs
constexpr unsigned long long kCode64 = 0x33;  // __USER_CS: what runs is 64-bit code

unsigned long long& first_argument(user_regs_struct& registers, std::uint32_t audit_arch) {
    return audit_arch == AUDIT_ARCH_I386 ? registers.rbx : registers.rdi;
}

/// The timeout of a call that has it in a register; none for all others.
std::chrono::milliseconds register_timeout(const user_regs_struct& registers) {
    const bool epoll = registers.orig_rax == SYS_epoll_wait || registers.orig_rax == SYS_epoll_pwait;
    if (!epoll || registers.cs != kCode64) return {};
    const int timeout = static_cast<int>(registers.r10);
    return std::chrono::milliseconds(timeout < 0 ? 0 : timeout);
}

}  // namespace

void restart_interrupted_call(pid_t tid, Restart& latest) {
    user_regs_struct registers{};
    if (ptrace(PTRACE_GETREGS, tid, 0, &registers) != 0) return;
    const bool in_call = static_cast<long long>(registers.orig_rax) >= 0;
    if (!in_call || static_cast<long long>(registers.rax) != -EINTR) return;
    const auto now = std::chrono::steady_clock::now();
    Restart restart{{registers.rip, registers.rsp, registers.orig_rax, registers.rdi, registers.rsi, registers.rdx,
                     registers.r10, registers.r8},
                    now,
                    now};
    const auto timeout = register_timeout(registers);
    // Restarted longer ago, that call would have timed out: this is another one.
    if (restart.call == latest.call && now - latest.last < timeout) {
        restart.first = latest.first;
        if (now - restart.first >= timeout) return;
    }
    registers.rax = static_cast<unsigned long long>(-kRestartNoHandler);
    if (ptrace(PTRACE_SETREGS, tid, 0, &registers) == 0) latest = restart;
}

void refuse_call(pid_t tid) {
    user_regs_struct registers{};
    if (ptrace(PTRACE_GETREGS, tid, 0, &registers) != 0) return;
    registers.orig_rax = ~0ULL;
    registers.rax = static_cast<unsigned long long>(-static_cast<long long>(ENOSYS));
    ptrace(PTRACE_SETREGS, tid, 0, &registers);
}

void hide_clone_untraced(pid_t tid, std::uint32_t audit_arch) {
    user_regs_struct registers{};
    if (ptrace(PTRACE_GETREGS, tid, 0, &registers) != 0) return;
    first_argument(registers, audit_arch) &= ~kCloneUntraced;
    ptrace(PTRACE_SETREGS, tid, 0, &registers);
}

void restore_clone_untraced(pid_t tid, std::uint32_t audit_arch) {
    user_regs_struct registers{};
    if (ptrace(PTRACE_GETREGS, tid, 0, &registers) != 0) return;
    first_argument(registers, audit_arch) |= kCloneUntraced;
    ptrace(PTRACE_SETREGS, tid, 0, &registers);
}

#elif defined(__aarch64__)

void restart_interrupted_call(pid_t, Restart&) {}

void hide_clone_untraced(pid_t tid, std::uint32_t) {
    user_regs_struct registers{};
    iovec all{&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &all) != 0) return;
    registers.regs[0] &= ~kCloneUntraced;
    ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &all);
}

void restore_clone_untraced(pid_t, std::uint32_t) {}

void refuse_call(pid_t tid) {
    int none = -1;  // NO_SYSCALL: the kernel sets the result itself (syscall_trace_enter in arch/arm64)
    iovec number{&none, sizeof none};
    ptrace(PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &number);
}

#else

void restart_interrupted_call(pid_t, Restart&) {}
void hide_clone_untraced(pid_t, std::uint32_t) {}
void restore_clone_untraced(pid_t, std::uint32_t) {}
void refuse_call(pid_t) {}

#endif

}  // namespace tracedump
