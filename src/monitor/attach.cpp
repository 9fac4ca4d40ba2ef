#include "monitor/attach.h"

#include <unistd.h>

#include <cerrno>
#include <set>

#include "monitor/ptrace_calls.h"
#include "util/error.h"

namespace tracedump {

namespace {

bool is_zombie(pid_t tid, const ProcFs& proc) {
    const auto state = proc.status_field(tid, "State");
    return !state || state->starts_with('Z') || state->starts_with('X');
}

}  // namespace

bool is_traced_by_this_thread(pid_t tid, const ProcFs& proc) {
    return proc.status_number(tid, "TracerPid").value_or(0) == gettid();
}

std::string explain_attach_failure(pid_t pid, int error, const ProcFs& proc) {
    const std::string what = fmt::format("cannot attach to process {}", pid);
    if (error == ESRCH || !proc.exists(pid)) return what + ": no such process";
    if (error != EPERM) return fmt::format("{}: {}", what, errno_text(error));
    if (const auto tracer = proc.status_number(pid, "TracerPid").value_or(0); tracer != 0)
        return fmt::format("{}: already traced by process {}", what,
                           proc.status_number(static_cast<pid_t>(tracer), "Tgid").value_or(tracer));
    if (proc.status_number(pid, "Kthread").value_or(0) != 0 || !proc.status_field(pid, "VmSize"))
        return what + (is_zombie(pid, proc) ? ": it has ended" : ": it is a kernel thread");
    const auto scope = proc.read("sys/kernel/yama/ptrace_scope");
    if (scope && !scope->starts_with('0'))
        return fmt::format("{}: kernel.yama.ptrace_scope = {} forbids it", what, scope->front());
    return what + ": operation not permitted (it takes the same user, or CAP_SYS_PTRACE)";
}

std::vector<pid_t> attach_process(pid_t pid, long options) {
    const ProcFs proc;
    if (pid == getpid()) throw Error(fmt::format("cannot attach to process {}: that is tracedump itself", pid));
    if (!proc.exists(pid)) throw Error(explain_attach_failure(pid, ESRCH, proc));

    std::set<pid_t> seized;
    std::set<pid_t> ended;  // zombies and those that went away in between
    // A thread that is not seized yet may start another behind our back, so look again until two looks have found
    // nothing new: one may pass over threads, as the kernel counts its way through them while others end
    // (proc_task_readdir in fs/proc/base.c).
    for (int in_vain = 0; in_vain < 2;) {
        ++in_vain;
        for (const pid_t tid : proc.threads(pid)) {
            if (seized.contains(tid) || ended.contains(tid)) continue;
            in_vain = 0;
            const int error = ptrace_calls::seize(tid, options);
            // A thread that was born of a seized one is traced from its first instruction. It may end at any moment: so
            // whether it has ended is asked last.
            if (error == 0 || (error == EPERM && is_traced_by_this_thread(tid, proc))) {
                seized.insert(tid);
            } else if (error == ESRCH || is_zombie(tid, proc)) {
                ended.insert(tid);
            } else {
                throw Error(explain_attach_failure(pid, error, proc));
            }
        }
    }
    if (seized.empty()) throw Error(explain_attach_failure(pid, ended.empty() ? ESRCH : EPERM, proc));
    return {seized.begin(), seized.end()};
}

}  // namespace tracedump
