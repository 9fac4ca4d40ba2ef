// The monitor's thread goes to the CPU on which a tracee runs that makes one system-call stop soon after the other. One
// of the two always waits for the other, so that they need no two CPUs; and to wake one that has gone idle meanwhile
// takes several times as long as a stop does, in a virtual machine most of all. The tracee stays where the kernel has
// it.
//
// Bound to a CPU, the monitor can starve there: so it is only while it waits awake for the next stop, and never next to
// a tracee of real-time policy, which gives its CPU to nobody. Monitor thread.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <chrono>
#include <optional>

#include "util/procfs.h"

namespace tracedump {

class CpuFollower {
public:
    /// How many stops of one tracee, each soon after the one before, there are before it is followed, and between two
    /// looks at where it is.
    static constexpr int kStopsInARow = 64;
    static constexpr std::chrono::milliseconds kSoon{1};

    /// This tracee has stopped at a system call. If another one did before, nobody is followed.
    void on_stop(pid_t tid);

    /// To any CPU that we may use, before a sleep or whatever else takes long.
    void let_go();

private:
    using Clock = std::chrono::steady_clock;

    void follow(int cpu);

    pid_t tid_ = 0;
    Clock::time_point last_stop_;
    int stops_ = 0;  // in a row, since the last look
    cpu_set_t allowed_{};
    std::optional<int> cpu_;  // where we are bound to, instead of allowed_
};

}  // namespace tracedump
