#include "monitor/monitor.h"

#include <linux/kcmp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>

#include "monitor/attach.h"
#include "monitor/ptrace_calls.h"
#include "monitor/registers.h"
#include "monitor/seccomp_filter.h"
#include "util/error.h"
#include "util/log.h"
#include "util/procfs.h"

namespace tracedump {

namespace {

constexpr long kFollow =
    PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

// An attached thread in an uninterruptible wait (a vfork parent) does not stop when asked to; the capture begins
// without waiting for it any longer.
constexpr std::chrono::milliseconds kFirstStopPatience{500};

constexpr std::chrono::seconds kIdleWait{3600};  // every wake-up has a signal

// Most of what a stop costs is to wake two CPUs that have gone idle, ours and then the tracee's. Where stops follow
// each other so closely, it is cheaper to look for the next one than to sleep.
constexpr std::chrono::microseconds kSoon{50};

// But not where others have use for the CPU: who has yielded gets it back after a slice of some milliseconds, who has
// slept at once.
constexpr std::chrono::microseconds kLongYield{300};
constexpr int kRestFromLooking = 100;  // times as long as that took

const sigset_t& wake_up_signals() {
    static const sigset_t signals = [] {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, MonitorInbox::bell_signal());
        return set;
    }();
    return signals;
}

/// A descriptor for each thread that uses sockets.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

std::optional<pid_t> tgid_of(pid_t tid) {
    const auto tgid = ProcFs().status_number(tid, "Tgid");
    return tgid ? std::optional(static_cast<pid_t>(*tgid)) : std::nullopt;
}

/// Threads of one process do, but for unshare(CLONE_FILES). Kernels without kcmp(2) cannot tell.
bool share_descriptors(pid_t one, pid_t other) {
    const auto result = syscall(SYS_kcmp, one, other, KCMP_FILES, 0, 0);
    return result == 0 || (result < 0 && errno == ENOSYS);
}

/// By whole words, which lie in one page each: what is beyond may not be mapped.
bool read_memory(pid_t tid, std::uint64_t address, std::span<std::byte> into) {
    while (!into.empty()) {
        const std::size_t skipped = address % sizeof(long);
        long word = 0;
        if (ptrace_calls::peek(tid, address - skipped, word) != 0) return false;
        const std::size_t size = std::min(sizeof word - skipped, into.size());
        std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&word) + skipped, size);
        into = into.subspan(size);
        address += size;
    }
    return true;
}

}  // namespace

Monitor::Monitor(const Links& links, Targets targets)
    : links_(links),
      targets_(std::move(targets)),
      sensor_(links.networks, links.news, links.counters),
      hooked_(links.news.hooked()) {}

void Monitor::run() {
    MonitorEnded ended;
    try {
        begin();
        trace();
        if (command_ && !exec_seen_) ended.exec_error = read_exec_error(command_->exec_error);
    } catch (const std::exception& error) {
        ended.error = error.what();
    }
    tracees_.clear();  // with the sockets that are borrowed for calls under way
    links_.session.post(ended);
}

void Monitor::begin() {
    if (targets_.command)
        begin_command(*targets_.command);
    else
        begin_processes();
    raise_descriptor_limit();
    if (!targets_.command) learn([&] { adopt_sockets_of_targets(); });
}

void Monitor::begin_command(LaunchPlan& plan) {
    plan.seccomp = plan.seccomp && !hooked_;
    stop_at_calls_ = !plan.seccomp && !hooked_;
    const long options = kFollow | (plan.seccomp ? PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL : 0);
    command_ = launch(plan, options, [&](pid_t pid) {
        links_.news.watch(pid, 0);
        // With PTRACE_SYSCALL from its first instruction on, if there is no filter to stop it.
        if (stop_at_calls_) ptrace_calls::interrupt(pid);
    });
    Tracee& tracee = tracee_of(command_->pid);
    tracee.tgid = command_->pid;
    process_began(command_->pid);
}

void Monitor::begin_processes() {
    stop_at_calls_ = !hooked_;
    for (const pid_t target : targets_.pids) {
        const pid_t pid = tgid_of(target).value_or(target);  // a thread stands for its process
        if (processes_.contains(pid)) continue;
        links_.news.watch(pid, 0);
        for (const pid_t tid : attach_process(pid, kFollow)) {
            Tracee& tracee = tracee_of(tid);
            tracee.tgid = pid;
            if (!stop_at_calls_) continue;
            // From a stop it can be let go with stops at its system calls.
            ptrace_calls::interrupt(tid);
            tracee.interrupted = true;
            awaited_.insert(tid);
        }
        process_began(pid);
    }
    awaited_until_ = Clock::now() + kFirstStopPatience;
}

void Monitor::trace() {
    begin_if_all_stopped(Clock::now());
    while (!done()) {
        wait_for_events();
        take_orders();
        if (released_) return;
        // All that has happened first, then what to do about it: resuming one tracee at a time would starve the old
        // ones where new ones keep coming (the kernel reports the newest first).
        for (const Event& event : collect_events()) dispatch(event);
        const auto now = Clock::now();
        begin_if_all_stopped(now);
        learn([&] { sensor_.ask_again(now); });
    }
}

/// The capture of running processes begins when none of their calls can be missed any more.
void Monitor::begin_if_all_stopped(Clock::time_point now) {
    if (!awaited_until_) return;
    if (now >= *awaited_until_) awaited_.clear();
    if (!awaited_.empty()) return;
    awaited_until_.reset();
    // What was opened between the first look and the first stops.
    learn([&] { adopt_sockets_of_targets(); });
    links_.session.post(TracingBegan{});
}

bool Monitor::done() const { return tracees_.empty() && (!command_ || command_ended_); }

void Monitor::wait_for_events() {
    const auto began = Clock::now();
    auto until = began + kIdleWait;
    if (const auto question = sensor_.next_question(); question && learning_) until = std::min(until, *question);
    if (awaited_until_) until = std::min(until, *awaited_until_);
    if (soon_ && began > look_again_ && look_for_events(began, std::min(until, began + kSoon))) return;
    follower_.let_go();
    const auto left = std::max(until - Clock::now(), Clock::duration::zero());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    const timespec timeout{seconds.count(), std::chrono::nanoseconds(left - seconds).count()};
    sigtimedwait(&wake_up_signals(), nullptr, &timeout);
    soon_ = Clock::now() - began < kSoon;
}

/// Without sleeping; whoever else wants this CPU goes first.
bool Monitor::look_for_events(Clock::time_point now, Clock::time_point until) {
    constexpr timespec at_once{};
    while (now < until) {
        if (sigtimedwait(&wake_up_signals(), nullptr, &at_once) > 0) return true;
        sched_yield();
        const auto after = Clock::now();
        if (after - now > kLongYield) look_again_ = after + kRestFromLooking * (after - now);
        now = after;
    }
    return false;
}

void Monitor::take_orders() {
    while (const auto order = links_.inbox.take()) {
        if (const auto* pass = std::get_if<PassSignal>(&*order)) {
            if (command_ && !command_ended_) kill(command_->pid, pass->signal);
        } else if (std::holds_alternative<KillTracees>(*order)) {
            for (const pid_t pid : processes_) kill(pid, SIGKILL);
        } else if (std::holds_alternative<ReleaseTracees>(*order)) {
            // Stops that we have not taken yet are the kernel's to end, with their signals; there are no others.
            released_ = true;
            for (const pid_t pid : processes_) links_.news.unwatch(pid);
        } else if (const auto* hold = std::get_if<HoldAbroad>(&*order)) {
            hold_abroad(*hold);
        } else {
            learning_ = false;
        }
    }
}

/// One that is no tracee is a worker of io_uring.
void Monitor::hold_abroad(const HoldAbroad& hold) {
    const auto entry = tracees_.find(hold.thread.tid);
    if (entry != tracees_.end() && learning_ && ptrace_calls::interrupt(hold.thread.tid) == 0) {
        entry->second.interrupted = true;
        entry->second.abroad = true;
    } else if (processes_.contains(hold.thread.pid) && learning_) {
        learn([&] { links_.networks.visit(hold.thread.pid, hold.thread.tid); });
    }
    links_.news.answer(hold.thread);
}

std::vector<Monitor::Event> Monitor::collect_events() {
    std::vector<Event> events;
    int status = 0;
    // __WALL: threads and clone children without SIGCHLD too.
    for (pid_t tid = 0; (tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0;)
        events.push_back({tid, WaitStatus(status)});
    return events;
}

void Monitor::dispatch(const Event& event) {
    const WaitStatus& status = event.status;
    if (status.ended()) return on_end(event.tid, status);
    // A child may stop before its parent's event names it.
    Tracee& tracee = tracee_of(event.tid);
    switch (status.kind()) {
        case WaitStatus::Kind::event_stop:
            return on_event_stop(tracee, status.event());
        case WaitStatus::Kind::syscall_stop:
            on_call_stop(tracee);
            return resume(tracee);
        case WaitStatus::Kind::group_stop:
            return on_group_stop(tracee, status.signal());
        case WaitStatus::Kind::trap_stop:
            return on_trap_stop(tracee);
        case WaitStatus::Kind::signal_stop:
            return on_signal(tracee, status.signal());
        case WaitStatus::Kind::exited:
        case WaitStatus::Kind::killed:
            return;
    }
}

Tracee& Monitor::tracee_of(pid_t tid) {
    const auto [entry, is_new] = tracees_.try_emplace(tid);
    if (is_new) entry->second.tid = tid;
    return entry->second;
}

void Monitor::on_end(pid_t tid, const WaitStatus& status) {
    if (const auto entry = tracees_.find(tid); entry != tracees_.end()) {
        if (entry->second.tgid == 0) ended_early_.insert(tid);
        if (entry->second.hidden_arch != 0) untraced_clone_over(entry->second);
        sensor_.abandon(entry->second);
        tracees_.erase(entry);
    } else {
        ended_early_.insert(tid);  // killed before its first stop; or a child that tracedump did not make
    }
    attached_stopped(tid);
    if (processes_.erase(tid) != 0) {
        log_process("process {} ended", tid);
        links_.news.unwatch(tid);
        links_.gc.post(ProcessEnded{tid});
    }
    if (command_ && tid == command_->pid) {
        command_ended_ = true;
        links_.session.post(CommandEnded{status.raw(), processes_.size()});
    }
}

void Monitor::on_event_stop(Tracee& tracee, int event) {
    unsigned long message = 0;
    switch (event) {
        case PTRACE_EVENT_FORK:
        case PTRACE_EVENT_VFORK:
        case PTRACE_EVENT_CLONE:
            if (ptrace_calls::event_message(tracee.tid, message) == 0)
                on_new_child(tracee, static_cast<pid_t>(message), event != PTRACE_EVENT_CLONE);
            break;
        case PTRACE_EVENT_EXEC:
            on_exec(tracee);
            break;
        case PTRACE_EVENT_SECCOMP:
            on_call_stop(tracee);
            break;
        default:
            break;
    }
    resume(tracee);
}

void Monitor::on_new_child(const Tracee& parent, pid_t child, bool is_process) {
    // The number may have been somebody else's before.
    if (ended_early_.erase(child) != 0 && !is_traced_by_this_thread(child, ProcFs())) {
        if (is_process) ++links_.counters.processes;
        return;
    }
    Tracee& tracee = tracee_of(child);
    if (tracee.tgid != 0) return;
    // clone(2) makes threads, but processes too; if the child is gone already, it was what most are.
    name(tracee, is_process ? child : tgid_of(child).value_or(parent.tgid), parent.tgid);
    tracee.hidden_arch = parent.hidden_arch;
    if (std::exchange(tracee.held, false)) on_trap_stop(tracee);
}

/// Until its parent's event does, or a call of its own if the parent was killed before its event could be read, nobody
/// knows whose thread a tracee is.
void Monitor::name(Tracee& tracee, pid_t tgid, pid_t parent) {
    tracee.tgid = tgid;
    if (tgid != tracee.tid) return;
    log_process("new process {}", tgid);
    learn([&] {
        links_.news.watch(tgid, parent);
        if (hooked_) links_.networks.visit(tgid, tgid);
    });
    process_began(tgid);
}

void Monitor::process_began(pid_t pid) {
    processes_.insert(pid);
    ++links_.counters.processes;
    links_.gc.post(ProcessBegan{pid});
}

void Monitor::on_exec(Tracee& tracee) {
    // If another thread than the leader called exec, it has taken over the leader's tid; all others are gone.
    unsigned long message = 0;
    if (ptrace_calls::event_message(tracee.tid, message) == 0 && static_cast<pid_t>(message) != tracee.tid) {
        if (const auto former = tracees_.find(static_cast<pid_t>(message)); former != tracees_.end()) {
            sensor_.abandon(former->second);
            tracees_.erase(former);
        }
    }
    sensor_.abandon(tracee);
    tracee.pidfd.reset();
    log_process("process {}: exec", tracee.tid);
    if (hooked_) learn([&] { links_.networks.visit(tracee.tid, tracee.tid); });
    if (command_ && tracee.tid == command_->pid && !exec_seen_) {
        exec_seen_ = true;
        // Sockets that the command inherits, as from systemd or inetd.
        learn([&] { sensor_.adopt_open_sockets(tracee); });
        links_.session.post(TracingBegan{});
    }
}

void Monitor::on_call_stop(Tracee& tracee) {
    follower_.on_stop(tracee.tid);
    __ptrace_syscall_info info{};
    if (ptrace_calls::syscall_info(tracee.tid, info) != 0) return;
    if (tracee.tgid == 0) name(tracee, tgid_of(tracee.tid).value_or(tracee.tid), 0);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        if (tracee.hidden_arch != 0) untraced_clone_over(tracee);
        learn([&] { sensor_.at_exit(tracee, info.exit.rval); });
        return;
    }
    std::array<std::uint64_t, 6> arguments{};
    std::uint64_t number = 0;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        number = info.entry.nr;
        std::copy(std::begin(info.entry.args), std::end(info.entry.args), arguments.begin());
    } else if (info.op == PTRACE_SYSCALL_INFO_SECCOMP) {
        // A filter of the tracee's own: without a tracer such a call would fail, so it does with one.
        if (info.seccomp.ret_data != kSeccompTraceData) return refuse_call(tracee.tid);
        number = info.seccomp.nr;
        std::copy(std::begin(info.seccomp.args), std::end(info.seccomp.args), arguments.begin());
    } else {
        return;
    }
    const ReadMemory read = [&](std::uint64_t address, std::span<std::byte> into) {
        return read_memory(tracee.tid, address, into);
    };
    if (const auto call = decode_tracing_call(info.arch, number, arguments))
        return on_tracing_call(tracee, *call, info.arch);
    const auto call = decode_net_call(info.arch, number, arguments, read);
    if (!call) return;
    log_syscall("thread {}: {} on descriptor {}", tracee.tid, to_text(call->kind), call->fd);
    if (call->kind == NetCall::Kind::io_uring_setup)
        links_.gc.post(UsesIoUring{tracee.tgid});
    else
        learn([&] { sensor_.at_entry(tracee, *call, read); });
}

void Monitor::on_tracing_call(Tracee& tracee, TracingCall call, std::uint32_t audit_arch) {
    switch (call) {
        case TracingCall::clone_untraced:
            tracee.hidden_arch = audit_arch;
            ++untraced_clones_;
            return hide_clone_untraced(tracee.tid, audit_arch);
        case TracingCall::strict_seccomp:
            if (!stop_at_calls_ && !std::exchange(strict_seccomp_told_, true))
                log_warning(
                    "process {} asks for strict seccomp, which the kernel refuses under tracedump's filter "
                    "(--no-seccomp does without)",
                    tracee.tgid);
            return;
    }
}

/// The parent is at the exit of that call, or gone.
void Monitor::untraced_clone_over(Tracee& parent) {
    restore_clone_untraced(parent.tid, std::exchange(parent.hidden_arch, 0));
    if (--untraced_clones_ > 0) return;
    // Children of others, and of those that were killed before they could name their child.
    for (auto& [tid, tracee] : tracees_)
        if (std::exchange(tracee.held, false)) on_trap_stop(tracee);
}

void Monitor::on_group_stop(Tracee& tracee, int signal) {
    attached_stopped(tracee.tid);
    tracee.interrupted = false;
    tracee.stopped = true;
    ptrace_calls::listen(tracee.tid);
    if (command_ && tracee.tid == command_->pid) links_.session.post(CommandStopped{signal});
}

void Monitor::on_signal(Tracee& tracee, int signal) {
    log_process("thread {}: signal {}", tracee.tid, signal);
    // A signal that is ignored would have been discarded, but for a tracer, and would have interrupted nothing. Being
    // stopped does interrupt calls, and so does the SIGCONT that ends it.
    const bool continues = signal == SIGCONT && std::exchange(tracee.stopped, false);
    if (!continues && !WaitStatus::is_stopping(signal)) restart_interrupted_call(tracee.tid, tracee.last_restart);
    resume(tracee, signal);
}

void Monitor::on_trap_stop(Tracee& tracee) {
    if (tracee.tgid == 0 && untraced_clones_ > 0) {
        tracee.held = true;  // until its parent's event says whose child it is
        return;
    }
    // Hooks must know whose child it is before it runs.
    if (tracee.tgid == 0 && hooked_) {
        const ProcFs proc;
        name(tracee, static_cast<pid_t>(proc.status_number(tracee.tid, "Tgid").value_or(tracee.tid)),
             static_cast<pid_t>(proc.status_number(tracee.tid, "PPid").value_or(0)));
    }
    if (std::exchange(tracee.interrupted, false)) restart_interrupted_call(tracee.tid, tracee.last_restart);
    if (std::exchange(tracee.abroad, false)) learn([&] { links_.networks.visit(tracee.tgid, tracee.tid); });
    attached_stopped(tracee.tid);
    if (const auto arch = std::exchange(tracee.hidden_arch, 0)) restore_clone_untraced(tracee.tid, arch);
    resume(tracee);
}

void Monitor::attached_stopped(pid_t tid) { awaited_.erase(tid); }

void Monitor::resume(const Tracee& tracee, int signal) {
    // ESRCH: killed in its stop. Its end will be reported.
    if (stop_at_calls_ || tracee.under_way || tracee.hidden_arch != 0)
        ptrace_calls::go_to_syscall(tracee.tid, signal);
    else
        ptrace_calls::go_on(tracee.tid, signal);
}

void Monitor::adopt_sockets_of_targets() {
    std::unordered_map<pid_t, std::vector<pid_t>> looked_at;  // by process: a thread for each table of descriptors
    for (auto& [tid, tracee] : tracees_) {
        auto& others = looked_at[tracee.tgid];
        const auto shares = [mine = tid](pid_t other) { return share_descriptors(mine, other); };
        if (std::any_of(others.begin(), others.end(), shares)) continue;
        sensor_.adopt_open_sockets(tracee);
        // A leader that is a zombie has none any more, and stands for nobody.
        if (!ProcFs().descriptors(tracee.tgid, tid).empty() || tid != tracee.tgid) others.push_back(tid);
    }
}

template <typename Learn>
void Monitor::learn(Learn learn) {
    if (!learning_) return;
    try {
        learn();
    } catch (const std::exception& error) {
        learning_ = false;
        links_.session.post(ThreadFailed{error.what()});
    }
}

}  // namespace tracedump
