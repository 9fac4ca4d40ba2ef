#include "monitor/cpu_follower.h"

#include <cstring>

namespace tracedump {

namespace {

cpu_set_t only(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return set;
}

bool may_use(const cpu_set_t& set) { return sched_setaffinity(0, sizeof set, &set) == 0; }

bool is_real_time(pid_t tid) {
    const int policy = sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK;
    return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

}  // namespace

void CpuFollower::on_stop(pid_t tid) {
    const auto now = Clock::now();
    if (tid != tid_) let_go();
    if (tid != tid_ || now > last_stop_ + kSoon) stops_ = 0;
    tid_ = tid;
    last_stop_ = now;
    if (++stops_ < kStopsInARow) return;
    stops_ = 0;
    const auto cpu = ProcFs().last_cpu(tid);
    if (!cpu || is_real_time(tid)) return let_go();
    if (cpu != cpu_) follow(*cpu);
}

void CpuFollower::follow(int cpu) {
    let_go();
    if (cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) return;
    if (CPU_ISSET(cpu, &allowed_) && may_use(only(cpu))) cpu_ = cpu;
}

void CpuFollower::let_go() {
    if (!cpu_) return;
    cpu_set_t now, all;
    const cpu_set_t ours = only(*cpu_);
    cpu_.reset();
    // If it is not what we set, somebody else knows better (taskset(1)).
    if (sched_getaffinity(0, sizeof now, &now) != 0 || !CPU_EQUAL(&now, &ours)) return;
    // All that there are, also those that a cpuset will have later; but if we were told to use fewer, those.
    std::memset(&all, 0xff, sizeof all);
    may_use(all);
    if (sched_getaffinity(0, sizeof now, &now) != 0 || !CPU_EQUAL(&now, &allowed_)) may_use(allowed_);
}

}  // namespace tracedump
