// The capture thread: walks the blocks of each network's ring, judges each packet by the newest snapshot, and hands
// what belongs to the application to the writer, a batch a block. Reads the rings, the snapshots and its mailbox; emits
// batches, counters, NetworkLeft and CaptureDrained. Never touches files. (What hooks have reported becomes claims on
// this thread: SocketNews::catch_up.)
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <variant>

#include "capture/classifier.h"
#include "capture/duplicate_filter.h"
#include "capture/fragment_tracker.h"
#include "capture/packet.h"
#include "capture/ring.h"
#include "capture/undecided.h"
#include "messages/counters.h"
#include "messages/packet_batch.h"
#include "messages/session_event.h"
#include "ports/port_set.h"
#include "ports/socket_news.h"
#include "util/mailbox.h"
#include "util/netns.h"
#include "util/published.h"

namespace tracedump {

/// To capture: take packets from this network's ring too.
struct WatchRing {
    NetworkId network = 0;
    std::shared_ptr<PacketRing> ring;
    std::shared_ptr<const Published<PortSet>> ports;
    std::shared_ptr<HostAddresses> addresses;
    std::shared_ptr<Translations> translations;
};

/// To capture: judge all that has arrived in that network up to now, then let go of its ring. Answered by NetworkLeft.
struct LeaveRing {
    NetworkId network = 0;
};

/// To capture: judge all that has arrived up to now, then end. Answered by CaptureDrained.
struct DrainRings {};

using CaptureMailbox = Mailbox<std::variant<WatchRing, LeaveRing, DrainRings>>;

class Capture {
public:
    /// All borrowed; they must outlive run().
    struct Links {
        CaptureMailbox& inbox;
        WriterQueue& writer;
        SessionMailbox& session;
        CaptureCounters& counters;
        SocketNews& news;
    };

    /// `icmp_errors`: see Classifier.
    explicit Capture(const Links& links, bool icmp_errors = false) : links_(links), icmp_errors_(icmp_errors) {}

    /// The thread's body: returns once it has drained.
    void run();

private:
    using Clock = std::chrono::steady_clock;

    /// One network: where its packets come from, and what must be remembered to judge them.
    struct Source {
        Source(WatchRing watch, std::uint32_t serial_number, bool icmp_errors)
            : watched(std::move(watch)),
              serial(serial_number),
              ports(*watched.ports),
              classifier(*watched.addresses, *watched.translations, icmp_errors) {}

        const WatchRing watched;
        const std::uint32_t serial;
        Published<PortSet>::Reader ports;
        Classifier classifier;
        FragmentTracker fragments;
        UndecidedPackets undecided;
        std::uint64_t settled_generation = 0;  // of `ports`, when `undecided` was last asked for
        Timestamp judged_until = kAlways;
        std::uint64_t walked = 0;       // packets of the ring, so far
        Timestamp leave_from = kNever;  // when the last packet up to the order to leave is in the ring
        bool left = false;
    };

    void take_messages();
    bool serve(Source& source);
    static bool is_drained(const Source& source, Timestamp now);
    void take_block(Source& source, RingBlock block);
    void take_packet(Source& source, const PacketRef& packet, PacketBatch& batch);
    void keep(const Source& source, const PacketRef& packet, PacketBatch& batch);
    void keep_held(const Source& source, HeldPacket&& held, PacketBatch& batch);
    Verdict judge(Source& source, const ParsedPacket& parsed, const PacketRef& packet);
    Verdict await_verdict(Source& source, const ParsedPacket& parsed, const PacketRef& packet);
    void on_verdict(Source& source, const ParsedPacket& parsed, Timestamp time, Verdict verdict, PacketBatch& batch);
    void settle_undecided(Source& source, PacketBatch& batch);
    void hand_over(PacketBatch batch);
    void tell_lull_if_due();
    void forget_left();
    void tell_judged();
    void wait_for_blocks();

    Links links_;
    const bool icmp_errors_;
    std::list<Source> sources_;
    std::uint32_t last_serial_ = 0;
    bool draining_ = false;
    std::optional<Clock::time_point> writer_waits_until_;  // for what follows; then it is to hear that nothing does
    DuplicateFilter duplicates_;                           // of all: a packet may leave one network for another
};

}  // namespace tracedump
