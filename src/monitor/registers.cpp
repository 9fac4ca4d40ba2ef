#include "monitor/registers.h"

#include <sys/ptrace.h>
#include <sys/user.h>

#include <cerrno>

namespace tracedump {

void restart_interrupted_call([[maybe_unused]] pid_t tid) {
#if defined(__x86_64__)
    constexpr long long kRestartNoHandler = 514;  // ERESTARTNOHAND, include/linux/errno.h; never seen by programs
    user_regs_struct registers{};
    if (ptrace(PTRACE_GETREGS, tid, 0, &registers) != 0) return;
    const bool in_call = static_cast<long long>(registers.orig_rax) >= 0;
    if (!in_call || static_cast<long long>(registers.rax) != -EINTR) return;
    registers.rax = static_cast<unsigned long long>(-kRestartNoHandler);
    ptrace(PTRACE_SETREGS, tid, 0, &registers);
#endif
}

}  // namespace tracedump
