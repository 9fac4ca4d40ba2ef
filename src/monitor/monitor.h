// The monitor thread: owns every ptrace request. Starts or attaches the targets, follows their forks, threads and
// execs, hands the system calls that matter to the sensor, and lets each tracee go on as if nobody were there. Reads
// wait(2) and its inbox; emits session and gc messages. Never touches packets, files or sockets of its own, and never
// waits for anything but its tracees: a tracee may be the reader of our output.
//
// When this thread ends, the kernel lets all tracees go at once without interrupting any (implicit detach, ptrace(2)),
// or kills those that were seized with PTRACE_O_EXITKILL: commands under a seccomp filter.
#pragma once

#include <chrono>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "messages/gc_message.h"
#include "messages/monitor_order.h"
#include "messages/session_event.h"
#include "monitor/call_sensor.h"
#include "monitor/cpu_follower.h"
#include "monitor/launch.h"
#include "monitor/tracee.h"
#include "monitor/tracing_call.h"
#include "monitor/wait_status.h"

namespace tracedump {

/// What to trace: running processes, or a command.
struct Targets {
    std::vector<pid_t> pids;
    std::optional<LaunchPlan> command;
};

class Monitor {
public:
    /// All borrowed; they must outlive run().
    struct Links {
        Networks& networks;
        SocketNews& news;
        MonitorInbox& inbox;
        SessionMailbox& session;
        GcMailbox& gc;
        MonitorCounters& counters;
    };

    Monitor(const Links& links, Targets targets);

    /// The thread's body: returns when no tracee is left, after ReleaseTracees, or if tracing could not begin.
    void run();

private:
    using Clock = std::chrono::steady_clock;
    struct Event {
        pid_t tid;
        WaitStatus status;
    };

    void begin();
    void begin_command(LaunchPlan& plan);
    void begin_processes();
    void begin_if_all_stopped(Clock::time_point now);
    void trace();
    bool done() const;
    void wait_for_events();
    bool look_for_events(Clock::time_point now, Clock::time_point until);
    void take_orders();
    void hold_abroad(const HoldAbroad& hold);
    std::vector<Event> collect_events();
    void dispatch(const Event& event);

    Tracee& tracee_of(pid_t tid);
    void on_end(pid_t tid, const WaitStatus& status);
    void on_event_stop(Tracee& tracee, int event);
    void on_new_child(const Tracee& parent, pid_t child, bool is_process);
    void name(Tracee& tracee, pid_t tgid, pid_t parent);
    void process_began(pid_t pid);
    void on_exec(Tracee& tracee);
    void on_call_stop(Tracee& tracee);
    void on_tracing_call(Tracee& tracee, TracingCall call, std::uint32_t audit_arch);
    void on_group_stop(Tracee& tracee, int signal);
    void on_signal(Tracee& tracee, int signal);
    void on_trap_stop(Tracee& tracee);
    void untraced_clone_over(Tracee& parent);
    void resume(const Tracee& tracee, int signal = 0);
    void attached_stopped(pid_t tid);
    void adopt_sockets_of_targets();

    /// Runs `learn`; if that fails, the capture has failed, but the tracees must go on.
    template <typename Learn>
    void learn(Learn learn);

    Links links_;
    Targets targets_;
    CallSensor sensor_;
    CpuFollower follower_;
    std::unordered_map<pid_t, Tracee> tracees_;  // by tid
    std::unordered_set<pid_t> processes_;        // traced now, by tgid
    std::unordered_set<pid_t> ended_early_;      // came and went, or only went, before their parent's event named them
    std::optional<Launched> command_;
    bool command_ended_ = false;
    bool exec_seen_ = false;
    const bool hooked_;           // hooks see the sockets: no system call need be seen
    bool stop_at_calls_ = false;  // PTRACE_SYSCALL everywhere; else a seccomp filter makes the stops, if any are needed
    bool learning_ = true;
    int untraced_clones_ = 0;  // under way
    bool strict_seccomp_told_ = false;
    bool released_ = false;
    bool soon_ = false;                  // the last event came at once, and so may the next
    Clock::time_point look_again_;       // until then nobody looks for it: others need the CPU
    std::unordered_set<pid_t> awaited_;  // attached threads that have not shown their first stop
    std::optional<Clock::time_point> awaited_until_;
};

}  // namespace tracedump
