// One capture from beginning to end: builds the threads, joins them by their queues, turns signals and their messages
// into what happens next, and takes everything down in order. Main thread; it waits for signals and messages alone.
//
//   tracing   until the targets have ended, or a signal ends the capture
//   tail      gc waits for the last FIN and ACK of the application's connections, at most 2 s
//   draining  capture judges what the ring still holds; then writer writes what it still has
#pragma once

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include "app/exit_status.h"
#include "app/kernel_side.h"
#include "app/network_table.h"
#include "app/options.h"
#include "app/summary.h"
#include "capture/capture.h"
#include "gc/gc.h"
#include "monitor/monitor.h"
#include "util/signals.h"
#include "writer/output_file.h"
#include "writer/writer.h"

namespace tracedump {

/// How tracedump is to end.
struct SessionResult {
    int status = kSuccess;
    int death_signal = 0;  // the command died by it, and so should we
    std::string error;     // why there was no capture; one line
    std::string summary;   // of the capture; lines
};

class Session {
public:
    /// Opens the file, the first ring and the kernel's interfaces. Throws Error; nothing has been started then.
    Session(const Options& options, const InheritedSignals& signals);

    /// Captures. Returns when all threads have ended.
    SessionResult run();

private:
    using Clock = std::chrono::steady_clock;
    enum class Phase { tracing, tail, draining, over };

    void start_threads();
    void wait();
    void on_signal(const siginfo_t& signal);
    void on_ending_signal(const siginfo_t& signal);
    void drain();
    void release();
    Totals totals();
    void announce();

    void on(const TracingBegan&);
    void on(const CommandEnded& event);
    void on(const CommandStopped& event);
    void on(const MonitorEnded& event);
    void on(const ThreadFailed& event);
    void on(const OutputClosed&);
    void on(const TailSettled&);
    void on(const NetworkIdle& event);
    void on(const NetworkLeft& event);
    void on(const CaptureDrained&);

    const Options options_;
    const bool launched_;
    const sigset_t signals_;  // that mean something, the mailbox's bell included

    OutputFile file_;
    CaptureCounters capture_counters_;
    WriterCounters writer_counters_;
    MonitorCounters monitor_counters_;
    SessionMailbox inbox_;
    MonitorInbox monitor_inbox_;
    CaptureMailbox capture_inbox_;
    GcMailbox gc_inbox_;
    WriterQueue writer_queue_;
    KernelSide kernel_;
    NetworkTable networks_;
    const std::unique_ptr<SocketNews> news_;

    Monitor monitor_;
    Capture capture_;
    Gc gc_;
    Writer writer_;
    std::jthread monitor_thread_, capture_thread_, gc_thread_, writer_thread_;

    Phase phase_ = Phase::tracing;
    bool began_ = false;
    bool released_ = false;  // the targets live on without us
    bool command_ended_ = false;
    bool stop_asked_ = false;  // by the terminal (Ctrl-Z)
    bool failed_ = false;      // a thread gave up: the status is ours
    int first_ending_signal_ = 0;
    Clock::time_point first_ending_time_;
    Totals drained_;  // as of then, but for what the writer had still to write
    Timestamp drained_at_ = 0;
    SessionResult result_;
};

}  // namespace tracedump
