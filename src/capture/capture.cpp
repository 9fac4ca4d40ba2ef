#include "capture/capture.h"

#include <net/if_arp.h>
#include <poll.h>

#include <algorithm>

namespace tracedump {

namespace {

// How long a packet may wait for a connect's port to become known. The monitor learns it within a millisecond or so;
// more means that the machine is stalled, and the ring must not stall with it.
constexpr std::chrono::milliseconds kDecisionPatience{100};

// A packet is in a block that we can see at the latest this long after its timestamp: the kernel's retire timer may
// need two periods, and CPUs stamp packets before they queue for the ring.
constexpr Timestamp kRingLatency = (2 * PacketRing::kRetireMillis + 5) * kNanosPerMilli;

// How far behind the ring's latency "all judged" is told, for timestamps that a clock step or a stall moved.
constexpr Timestamp kJudgementMargin = 300 * kNanosPerMilli;

}  // namespace

bool Capture::belongs(const ParsedPacket& parsed, const PacketRef& packet) {
    const Direction direction = direction_of(packet.direction, packet.arphrd);
    Verdict verdict = classifier_.classify(parsed, direction, packet.time, ports_.get());
    const auto deadline = std::chrono::steady_clock::now() + kDecisionPatience;
    while (verdict == Verdict::undecided) {
        const auto left = deadline - std::chrono::steady_clock::now();
        if (left <= left.zero()) break;
        links_.ports.wait_newer(ports_.generation(), std::chrono::duration_cast<std::chrono::microseconds>(left));
        verdict = classifier_.classify(parsed, direction, packet.time, ports_.get());
    }
    if (verdict == Verdict::undecided) links_.counters.undecided.fetch_add(1, std::memory_order_relaxed);
    if (verdict == Verdict::foreign) links_.counters.foreign.fetch_add(1, std::memory_order_relaxed);
    return verdict == Verdict::ours;
}

void Capture::take_packet(const PacketRef& packet, PacketBatch& batch) {
    const ParsedPacket parsed = parse_packet({packet.data, packet.captured_length}, packet.ethertype);
    if (parsed.kind == ParsedPacket::Kind::later_fragment) {
        const auto fate = fragments_.on_later(*parsed.datagram, packet);
        if (fate == FragmentTracker::Fate::ours) keep(packet, batch);
        if (fate == FragmentTracker::Fate::foreign) links_.counters.foreign.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    const bool ours = belongs(parsed, packet);
    if (parsed.datagram) {
        for (HeldPacket& held : fragments_.on_first(*parsed.datagram, ours, packet.time)) {
            keep(held.ref(), batch);
            batch.held.push_back(std::move(held));
        }
    }
    if (ours) keep(packet, batch);
}

void Capture::keep(const PacketRef& packet, PacketBatch& batch) {
    // The loopback is no station on the way to another device, and its outgoing copies are the filter's.
    if (packet.arphrd != ARPHRD_LOOPBACK &&
        duplicates_.is_duplicate({packet.data, packet.captured_length}, packet.original_length, packet.device,
                                 packet.time))
        links_.counters.duplicates.fetch_add(1, std::memory_order_relaxed);
    else
        batch.packets.push_back(packet);
}

void Capture::take_block(RingBlock block) {
    PacketBatch batch;
    batch.block = block.lease();
    batch.packets.reserve(block.packet_count());
    Timestamp latest = kAlways;
    block.for_each_packet([&](const PacketRef& packet) {
        latest = std::max(latest, packet.time);
        take_packet(packet, batch);
    });
    links_.counters.ours.fetch_add(batch.packets.size(), std::memory_order_relaxed);
    links_.counters.foreign.fetch_add(fragments_.take_given_up(), std::memory_order_relaxed);
    if (latest != kAlways) links_.counters.judged_until = latest - kRingLatency - kJudgementMargin;
    // A batch without packets gives its block back here.
    if (!batch.packets.empty()) links_.writer.push(WriterMessage(std::move(batch)));
}

void Capture::wait_for_block() {
    constexpr int kIdleMillis = 1000;  // to move judged_until on when nothing arrives
    pollfd ready[] = {{links_.inbox.bell(), POLLIN, 0}, {links_.ring.socket(), POLLIN, 0}};
    poll(ready, std::size(ready), kIdleMillis);
    // The socket is readable as long as its last block is out, with the writer too: then only time brings another.
    constexpr int kBusyWriterMillis = 2;
    if (ready[1].revents != 0 && !links_.ring.block_ready()) poll(ready, 1, kBusyWriterMillis);
}

void Capture::run() {
    Timestamp drain_until = kNever;
    for (;;) {
        if (drain_until == kNever && links_.inbox.take()) drain_until = realtime_now() + kRingLatency;
        const Timestamp before = realtime_now();
        if (auto block = links_.ring.next_block()) {
            take_block(*block);
            continue;
        }
        // Whatever is older than the ring's latency is in a block that we have seen.
        links_.counters.judged_until = before - kRingLatency - kJudgementMargin;
        if (drain_until == kNever) {
            wait_for_block();
        } else if (before >= drain_until) {
            break;
        } else {
            pollfd ready{links_.ring.socket(), POLLIN, 0};
            poll(&ready, 1, static_cast<int>((drain_until - before) / kNanosPerMilli) + 1);
        }
    }
    links_.session.post(CaptureDrained{});
}

}  // namespace tracedump
