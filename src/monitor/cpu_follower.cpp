#include "monitor/cpu_follower.h"

namespace tracedump {

void CpuFollower::on_stop(pid_t tid) {
    if (tid != tid_) {
        let_go();
        tid_ = tid;
        stops_ = 0;
    }
    if (++stops_ % kStopsInARow != 0) return;
    if (const auto cpu = ProcFs().last_cpu(tid)) follow(*cpu);
}

void CpuFollower::follow(int cpu) {
    if (cpu == cpu_) return;
    let_go();
    if (cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof allowed_, &allowed_) != 0 || !CPU_ISSET(cpu, &allowed_))
        return;
    cpu_set_t there;
    CPU_ZERO(&there);
    CPU_SET(cpu, &there);
    if (sched_setaffinity(0, sizeof there, &there) == 0) cpu_ = cpu;
}

void CpuFollower::let_go() {
    if (cpu_) sched_setaffinity(0, sizeof allowed_, &allowed_);
    cpu_.reset();
}

}  // namespace tracedump
