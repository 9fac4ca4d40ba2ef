// The monitor's thread goes to the CPU on which a tracee runs that stops again and again. One of the two always waits
// for the other, so that they need no two CPUs; and to wake one that has gone idle meanwhile takes several times as
// long as a stop does, in a virtual machine most of all. The tracee stays where the kernel has it. Monitor thread.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <optional>

#include "util/procfs.h"

namespace tracedump {

class CpuFollower {
public:
    /// How many stops of one tracee there are before it is followed, and between two looks at where it is.
    static constexpr int kStopsInARow = 64;

    /// This tracee has stopped. If another one did before, nobody is followed.
    void on_stop(pid_t tid);

private:
    void follow(int cpu);
    void let_go();

    pid_t tid_ = 0;
    int stops_ = 0;  // in a row
    cpu_set_t allowed_{};
    std::optional<int> cpu_;  // where we are bound to, instead of allowed_
};

}  // namespace tracedump
