// The gc thread: hears from the kernel which sockets died in each network, catches up with what hooks report when
// nobody else does, sweeps now and then for what it did not hear, adopts sockets that the monitor could not see being
// born, and forgets dead claims once capture has judged all their packets. Reads sock_diag (or /proc/net), the tracees'
// descriptors and its mailbox; emits NetworkIdle and TailSettled. Never stops a tracee, never touches rings or files.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "gc/adopter.h"
#include "gc/socket_watch.h"
#include "messages/counters.h"
#include "messages/gc_message.h"
#include "messages/session_event.h"
#include "ports/socket_news.h"

namespace tracedump {

class Gc {
public:
    /// All borrowed; they must outlive run().
    struct Links {
        Networks& networks;
        SocketNews& news;
        GcMailbox& inbox;
        SessionMailbox& session;
        const CaptureCounters& capture;
    };

    explicit Gc(const Links& links)
        : links_(links),
          adopter_(links.networks, links.news, [this](const Adopter::Inodes& inodes) { return adopt(inodes); }) {}

    /// The thread's body: returns after StopCollecting.
    void run();

private:
    using Clock = std::chrono::steady_clock;

    void wait();
    void hear_deaths();
    bool take_messages();
    void attend(SocketWatch& watch);
    void check_tail();
    std::vector<std::uint64_t> adopt(const Adopter::Inodes& inodes);

    Links links_;
    std::vector<std::shared_ptr<SocketWatch>> watches_;
    Adopter adopter_;
    std::optional<Clock::time_point> tail_deadline_;  // while the session waits for the tail
    std::chrono::milliseconds tail_pause_{};          // between two looks at it
};

}  // namespace tracedump
