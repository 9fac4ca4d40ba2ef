#include "app/session.h"

#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "monitor/attach.h"
#include "monitor/launch.h"
#include "ports/socket_probe.h"
#include "util/error.h"
#include "util/log.h"
#include "writer/pcap_encoder.h"
#include "writer/pcapng_encoder.h"

namespace tracedump {

namespace {

constexpr std::chrono::milliseconds kTailPatience{2000};

// The kernel's counters of packets begin again after 2^32: 70 million a second for so long.
constexpr timespec kCountPause{60, 0};

// timeout(1) and others signal us and then our process group: the same signal again so soon is the same request.
constexpr std::chrono::milliseconds kSameRequest{250};

// The classifier needs the headers, however little of a packet is kept.
constexpr std::uint32_t kSmallestKernelSnaplen = 512;

std::uint32_t file_snaplen(const Options& options) { return options.snaplen == 0 ? kMaxSnaplen : options.snaplen; }

std::uint32_t kernel_snaplen(const Options& options) { return std::max(file_snaplen(options), kSmallestKernelSnaplen); }

std::unique_ptr<const Encoder> make_encoder(const Options& options) {
    if (options.format == FormatChoice::pcap) return std::make_unique<PcapEncoder>(file_snaplen(options));
    utsname system{};
    uname(&system);
    return std::make_unique<PcapngEncoder>(
        file_snaplen(options),
        PcapngEncoder::Origin{"tracedump " TRACEDUMP_VERSION, fmt::format("{} {}", system.sysname, system.release)});
}

sigset_t meaningful_signals(const InheritedSignals& inherited) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGTSTP, SessionMailbox::bell_signal()})
        sigaddset(&set, signal);
    // A blocked signal arrives though it is ignored; under nohup the capture outlives its terminal. (A shell without
    // job control ignores SIGINT for what it starts in the background; as tcpdump, we take it all the same.)
    if (!inherited.ignored(SIGHUP)) sigaddset(&set, SIGHUP);
    return set;
}

Targets targets_of(const Options& options, const InheritedSignals& signals) {
    require_socket_probing();
    for (const pid_t pid : options.pids)
        if (const ProcFs proc; !proc.exists(pid)) throw Error(explain_attach_failure(pid, ESRCH, proc));
    if (options.command.empty()) return {options.pids, std::nullopt};
    LaunchPlan plan;
    plan.command = options.command;
    if (options.user) plan.user = look_up_user(*options.user);
    plan.seccomp = options.seccomp;
    plan.stdout_to_stderr = options.file == "-";
    plan.signals = signals;
    return {{}, std::move(plan)};
}

template <typename Body>
std::jthread named_thread(const char* name, Body body) {
    return std::jthread([name, body] {
        prctl(PR_SET_NAME, name);
        body();
    });
}

}  // namespace

Session::Session(const Options& options, const InheritedSignals& signals)
    : options_(options),
      launched_(!options.command.empty()),
      signals_(meaningful_signals(signals)),
      file_(options.file),
      kernel_(options, kernel_snaplen(options)),
      networks_({options.buffer_mebibytes, options.icmp, launched_},
                {capture_inbox_, gc_inbox_, *kernel_.filters, kernel_.hooks.get()}),
      news_(make_news(kernel_, networks_, gc_inbox_, monitor_inbox_)),
      monitor_({networks_, *news_, monitor_inbox_, inbox_, gc_inbox_, monitor_counters_}, targets_of(options, signals)),
      capture_({capture_inbox_, writer_queue_, inbox_, capture_counters_, *news_}, options.icmp),
      gc_({networks_, *news_, gc_inbox_, inbox_, capture_counters_}),
      writer_({make_encoder(options), file_, writer_queue_, inbox_, writer_counters_, options.file}) {
    networks_.open_first(launched_ ? std::nullopt : std::optional(options.pids.front()));
    writer_queue_.set_capacity(static_cast<std::ptrdiff_t>(PacketRing::blocks_in(options.buffer_mebibytes)));
    writer_.begin();
}

SessionResult Session::run() {
    start_threads();
    while (phase_ != Phase::over) {
        wait();
        while (const auto event = inbox_.take()) std::visit([this](const auto& e) { on(e); }, *event);
    }
    monitor_thread_.join();
    capture_thread_.join();
    gc_inbox_.post(StopCollecting{});
    gc_thread_.join();
    writer_queue_.push(StopWriting{drained_.received, drained_.dropped, drained_at_});
    writer_thread_.join();
    // What the writer had to say last.
    while (const auto event = inbox_.take())
        if (const auto* failed = std::get_if<ThreadFailed>(&*event)) on(*failed);
    drained_.captured = writer_counters_.written;
    drained_.unwritten = writer_counters_.lost;
    if (began_) result_.summary = final_lines(drained_);
    return std::move(result_);
}

void Session::start_threads() {
    writer_thread_ = named_thread("td-writer", [this] { writer_.run(); });
    capture_thread_ = named_thread("td-capture", [this] { capture_.run(); });
    gc_thread_ = named_thread("td-gc", [this] { gc_.run(); });
    // From here on packets can be captured; the first tracee comes last.
    monitor_thread_ = named_thread("td-monitor", [this] { monitor_.run(); });
}

void Session::wait() {
    siginfo_t signal{};
    if (sigtimedwait(&signals_, &signal, &kCountPause) > 0) on_signal(signal);
    networks_.count_packets();
}

void Session::on_signal(const siginfo_t& signal) {
    if (signal.si_signo == SessionMailbox::bell_signal()) return;
    switch (signal.si_signo) {
        case SIGUSR1:
            log_notice("{}", progress_line(totals()));
            break;
        case SIGTSTP:
            // A command that goes on in spite of it, or first tidies up, is not to be stopped by its tracer.
            stop_asked_ = launched_;
            if (!launched_) log_notice("not suspended: the traced processes would stop with it (Ctrl-C ends it)");
            break;
        default:
            on_ending_signal(signal);
            break;
    }
}

void Session::on_ending_signal(const siginfo_t& signal) {
    const int number = signal.si_signo;
    const bool from_terminal = signal.si_code == SI_KERNEL;  // then the command has it too
    const auto now = Clock::now();
    const bool first = first_ending_signal_ == 0;
    if (first) {
        first_ending_signal_ = number;
        first_ending_time_ = now;
    } else if (number == first_ending_signal_ && now - first_ending_time_ < kSameRequest) {
        return;
    }

    if (phase_ == Phase::tail) return drain();
    if (phase_ != Phase::tracing) return;
    if (!launched_ || (!options_.seccomp && (!from_terminal || !first))) {
        release();
    } else if (!first || command_ended_) {
        monitor_inbox_.post(KillTracees{});
    } else if ((number == SIGTERM || number == SIGHUP) && !from_terminal) {
        monitor_inbox_.post(PassSignal{number});
    }
    // Otherwise the command has been told to end already, and the capture ends with it.
}

void Session::announce() {
    log_notice("listening on any, link-type LINUX_SLL (Linux cooked v1), snapshot length {} bytes",
               file_snaplen(options_));
}

void Session::on(const TracingBegan&) {
    began_ = true;
    announce();
}

void Session::on(const CommandEnded& event) {
    command_ended_ = true;
    if (!failed_) {
        if (WIFSIGNALED(event.wait_status))
            result_.death_signal = WTERMSIG(event.wait_status);
        else
            result_.status = WEXITSTATUS(event.wait_status);
    }
    if (event.others != 0)
        log_notice("the command has ended; capturing until {} too (Ctrl-C ends {})",
                   event.others == 1 ? "the process that it left behind has"
                                     : fmt::format("the {} processes that it left behind have", event.others),
                   event.others == 1 ? "it" : "them");
}

void Session::on(const CommandStopped& event) {
    // The shell's job is us: it must see what has happened to the command. Its SIGCONT goes to both.
    const bool by_terminal = event.signal != SIGSTOP;
    if (by_terminal || stop_asked_) raise(SIGSTOP);
    stop_asked_ = false;
}

void Session::on(const MonitorEnded& event) {
    if (!event.error.empty()) {
        result_ = {kOwnError, 0, event.error, {}};
        began_ = false;
    } else if (event.exec_error != 0) {
        result_ = {exit_status_of_exec_error(event.exec_error),
                   0,
                   fmt::format("cannot execute {}: {}", options_.command.front(), errno_text(event.exec_error)),
                   {}};
        began_ = false;
    }
    if (began_ && !released_) {
        phase_ = Phase::tail;
        gc_inbox_.post(AwaitTail{kTailPatience});
    } else {
        drain();
    }
}

void Session::drain() {
    if (phase_ == Phase::draining) return;
    phase_ = Phase::draining;
    capture_inbox_.post(DrainRings{});
}

void Session::release() {
    if (phase_ != Phase::tracing || released_) return;
    released_ = true;
    monitor_inbox_.post(ReleaseTracees{});
}

void Session::on(const ThreadFailed& event) {
    log_error("{}", event.error);
    result_.status = kOwnError;
    result_.death_signal = 0;
    failed_ = true;
    // A command is carried on until it ends, and what is lost by then is counted.
    if (!launched_) release();
}

void Session::on(const OutputClosed&) {
    if (launched_)
        monitor_inbox_.post(StopLearning{});
    else
        release();
}

void Session::on(const TailSettled&) {
    if (phase_ == Phase::tail) drain();
}

void Session::on(const NetworkIdle& event) { networks_.leave(event.network, *news_); }

void Session::on(const NetworkLeft& event) { networks_.left(event.network); }

/// What the application goes on to send is not counted.
void Session::on(const CaptureDrained&) {
    phase_ = Phase::over;
    drained_ = totals();
    drained_at_ = realtime_now();
}

Totals Session::totals() {
    news_->catch_up();
    const auto [ring, ports] = networks_.totals();
    Totals totals;
    totals.captured = writer_counters_.written;
    const std::uint64_t left_out = capture_counters_.foreign + capture_counters_.duplicates;
    totals.received = ring.received - std::min(ring.received, left_out);
    totals.dropped = ring.dropped;
    totals.unwritten = writer_counters_.lost;
    totals.undecided = capture_counters_.undecided;
    totals.processes = monitor_counters_.processes;
    totals.sockets = ports.sockets;
    totals.ports = ports.ports;
    totals.living = ports.living;
    return totals;
}

}  // namespace tracedump
