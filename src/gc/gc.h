// The gc thread: hears from the kernel which sockets died, sweeps now and then for what it did not hear, and forgets
// dead claims once capture has judged all their packets. Reads sock_diag (or /proc/net) and its mailbox; emits
// TailSettled. Never touches tracees, the ring or files.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "gc/collector.h"
#include "gc/sock_diag.h"
#include "messages/counters.h"
#include "messages/gc_message.h"
#include "messages/session_event.h"

namespace tracedump {

class Gc {
public:
    /// All borrowed; they must outlive run().
    struct Links {
        PortRegistry& registry;
        GcMailbox& inbox;
        SessionMailbox& session;
        const CaptureCounters& capture;
    };

    /// Opens what the kernel allows here: deaths and table by sock_diag, or the table alone, or /proc/net. On the
    /// session's thread, before the first tracee: no death may be missed.
    explicit Gc(const Links& links);

    /// The thread's body: returns after StopCollecting.
    void run();

private:
    using Clock = std::chrono::steady_clock;

    bool take_messages();
    void hear_deaths();
    void sweep();
    void check_tail();
    Clock::time_point next_due() const;

    Links links_;
    std::unique_ptr<SocketTable> table_;
    std::optional<SocketDeaths> deaths_;
    Collector collector_;
    Clock::time_point next_sweep_;
    std::optional<Clock::time_point> tail_deadline_;  // while the session waits for the tail
};

}  // namespace tracedump
