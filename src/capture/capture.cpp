#include "capture/capture.h"

#include <net/if_arp.h>
#include <poll.h>

#include <algorithm>
#include <vector>

namespace tracedump {

namespace {

// How long a packet waits for a connect's port to become known before it is put aside. The monitor learns the port
// within a millisecond or so, and packets stay in order.
constexpr std::chrono::milliseconds kShortPatience{5};

// CPUs stamp packets before they queue for the ring.
constexpr Timestamp kQueueLatency = 5 * kNanosPerMilli;

// A packet in the ring is in a block that we can see at the latest this long after: the kernel's retire timer may need
// two periods.
constexpr Timestamp kRetireLatency = 2 * PacketRing::kRetireMillis * kNanosPerMilli;

// The block after a full one is handed over by then, if it has packets.
constexpr std::chrono::milliseconds kLull{PacketRing::kRetireMillis};

constexpr Timestamp kRingLatency = kQueueLatency + kRetireLatency;

// How far behind the ring's latency "all judged" is told, for timestamps that a clock step or a stall moved.
constexpr Timestamp kJudgementMargin = 300 * kNanosPerMilli;

}  // namespace

Verdict Capture::judge(Source& source, const ParsedPacket& parsed, const PacketRef& packet) {
    return source.classifier.classify(parsed, direction_of(packet.direction, packet.arphrd), packet.time,
                                      source.ports.get());
}

/// Waits for the owner to become known, but not for long: who waits holds up all that comes after.
Verdict Capture::await_verdict(Source& source, const ParsedPacket& parsed, const PacketRef& packet) {
    const auto deadline = std::chrono::steady_clock::now() + kShortPatience;
    for (;;) {
        const auto left = deadline - std::chrono::steady_clock::now();
        if (left <= left.zero()) return Verdict::undecided;
        source.watched.ports->wait_newer(source.ports.generation(),
                                         std::chrono::duration_cast<std::chrono::microseconds>(left));
        if (const Verdict verdict = judge(source, parsed, packet); verdict != Verdict::undecided) return verdict;
    }
}

void Capture::take_packet(Source& source, const PacketRef& packet, PacketBatch& batch) {
    const ParsedPacket parsed = parse_packet({packet.data, packet.captured_length}, packet.ethertype);
    if (parsed.kind == ParsedPacket::Kind::later_fragment) {
        const auto fate = source.fragments.on_later(parsed.datagram(), packet);
        if (fate == FragmentTracker::Fate::ours) keep(source, packet, batch);
        if (fate == FragmentTracker::Fate::foreign) links_.counters.foreign.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    settle_undecided(source, batch);  // first: they are older
    Verdict verdict = judge(source, parsed, packet);
    if (verdict == Verdict::undecided && source.undecided.empty()) verdict = await_verdict(source, parsed, packet);
    if (verdict == Verdict::undecided) {
        source.undecided.hold(packet, parsed, std::chrono::steady_clock::now());
        return;
    }
    on_verdict(source, parsed, packet.time, verdict, batch);
    if (verdict == Verdict::ours) keep(source, packet, batch);
}

void Capture::on_verdict(Source& source, const ParsedPacket& parsed, Timestamp time, Verdict verdict,
                         PacketBatch& batch) {
    if (verdict == Verdict::foreign) links_.counters.foreign.fetch_add(1, std::memory_order_relaxed);
    if (!parsed.fragment) return;
    for (HeldPacket& held : source.fragments.on_first(parsed.datagram(), verdict == Verdict::ours, time))
        keep_held(source, std::move(held), batch);
}

void Capture::settle_undecided(Source& source, PacketBatch& batch) {
    if (source.undecided.empty() || source.watched.ports->generation() == source.settled_generation) return;
    source.undecided.settle([&](HeldPacket&& held, const ParsedPacket& parsed) {
        const Verdict verdict = judge(source, parsed, held.ref());
        if (verdict == Verdict::undecided) return false;
        on_verdict(source, parsed, held.ref().time, verdict, batch);
        if (verdict == Verdict::ours) keep_held(source, std::move(held), batch);
        return true;
    });
    source.settled_generation = source.ports.generation();
}

void Capture::keep_held(const Source& source, HeldPacket&& held, PacketBatch& batch) {
    keep(source, held.ref(), batch);
    batch.held.push_back(std::move(held));
}

void Capture::keep(const Source& source, const PacketRef& packet, PacketBatch& batch) {
    const DuplicateFilter::DeviceId device = static_cast<std::uint64_t>(source.serial) << 32 | packet.device;
    // The loopback is no station on the way to another device, and its outgoing copies are the filter's.
    if (packet.arphrd != ARPHRD_LOOPBACK &&
        duplicates_.is_duplicate({packet.data, packet.captured_length}, packet.original_length, device, packet.time))
        links_.counters.duplicates.fetch_add(1, std::memory_order_relaxed);
    else
        batch.packets.push_back(packet);
}

void Capture::take_block(Source& source, RingBlock block) {
    // Who owned what when these packets were sent or came is known by now, if hooks had something to tell.
    links_.news.catch_up();
    PacketBatch batch;
    batch.block = block.lease(source.watched.ring);
    batch.more_follows = block.is_full();
    batch.packets.reserve(block.packet_count());
    source.walked += block.packet_count();
    Timestamp latest = kAlways;
    block.for_each_packet([&](const PacketRef& packet) {
        latest = std::max(latest, packet.time);
        take_packet(source, packet, batch);
    });
    links_.counters.foreign.fetch_add(source.fragments.take_given_up(), std::memory_order_relaxed);
    if (latest != kAlways) source.judged_until = latest - kRingLatency - kJudgementMargin;
    hand_over(std::move(batch));
}

/// A batch without packets gives its block back here.
void Capture::hand_over(PacketBatch batch) {
    if (batch.packets.empty()) return;
    links_.counters.ours.fetch_add(batch.packets.size(), std::memory_order_relaxed);
    writer_waits_until_.reset();
    if (batch.more_follows) writer_waits_until_ = Clock::now() + kLull;
    links_.writer.push(WriterMessage(std::move(batch)));
}

void Capture::tell_lull_if_due() {
    if (!writer_waits_until_ || Clock::now() < *writer_waits_until_) return;
    writer_waits_until_.reset();
    links_.writer.push(Lull{});
}

/// Whether all that has arrived before the order to leave was walked, as of `now`, when the ring had no block for us.
/// The kernel counts what it puts into the ring: there is no block to wait for when we have met as many.
bool Capture::is_drained(const Source& source, Timestamp now) {
    if (now < source.leave_from) return false;
    const auto in_ring = source.watched.ring->statistics();
    return source.walked >= in_ring.received - in_ring.dropped || now >= source.leave_from + kRetireLatency;
}

/// Takes a block, if there is one.
bool Capture::serve(Source& source) {
    source.watched.addresses->hear();
    const Timestamp before = realtime_now();
    if (auto block = source.watched.ring->next_block()) {
        take_block(source, *block);
        return true;
    }
    // Whatever is older than the ring's latency is in a block that we have seen.
    source.judged_until = before - kRingLatency - kJudgementMargin;
    source.left = is_drained(source, before);
    PacketBatch batch;
    settle_undecided(source, batch);
    hand_over(std::move(batch));
    if (source.left) source.undecided.give_up_all();
    source.undecided.give_up_old(std::chrono::steady_clock::now());
    links_.counters.undecided.fetch_add(source.undecided.take_given_up(), std::memory_order_relaxed);
    return false;
}

void Capture::forget_left() {
    std::erase_if(sources_, [&](const Source& source) {
        if (source.left) links_.session.post(NetworkLeft{source.watched.network});
        return source.left;
    });
}

void Capture::tell_judged() {
    Timestamp all = kNever;
    for (const Source& source : sources_) {
        all = std::min(all, source.judged_until);
        if (!source.undecided.empty()) all = std::min(all, source.undecided.oldest());
    }
    if (all != kNever) links_.counters.judged_until = all;
}

void Capture::take_messages() {
    links_.inbox.silence();
    while (auto message = links_.inbox.take()) {
        const Timestamp leave_from = realtime_now() + kQueueLatency;
        if (auto* watch = std::get_if<WatchRing>(&*message)) {
            sources_.emplace_back(std::move(*watch), ++last_serial_, icmp_errors_);
            continue;
        }
        const auto* leave = std::get_if<LeaveRing>(&*message);
        draining_ = draining_ || !leave;
        for (Source& source : sources_)
            if (!leave || leave->network == source.watched.network)
                source.leave_from = std::min(source.leave_from, leave_from);
    }
}

void Capture::wait_for_blocks() {
    constexpr int kIdleMillis = 1000;  // to move judged_until on when nothing arrives
    std::vector<pollfd> ready{{links_.inbox.bell(), POLLIN, 0}};
    // poll(2) passes over a negative descriptor.
    for (const Source& source : sources_) ready.push_back({source.watched.addresses->fd(), POLLIN, 0});
    const auto first_ring = static_cast<std::ptrdiff_t>(ready.size());
    constexpr int kDecisionMillis = 2;  // to ask for the owners of undecided packets again
    int patience = kIdleMillis;
    for (const Source& source : sources_) {
        ready.push_back({source.watched.ring->socket(), POLLIN, 0});
        if (!source.undecided.empty()) patience = std::min(patience, kDecisionMillis);
        if (source.leave_from == kNever) continue;
        const Timestamp now = realtime_now();
        const Timestamp next = source.leave_from + (now < source.leave_from ? 0 : kRetireLatency);
        const Timestamp left = std::max<Timestamp>(next - now, 0);
        patience = std::min(patience, static_cast<int>(left / kNanosPerMilli) + 1);
    }
    if (writer_waits_until_) patience = std::min(patience, static_cast<int>(kLull.count()));
    poll(ready.data(), ready.size(), patience);
    // A socket is readable as long as its last block is out, with the writer too: then only time brings another.
    constexpr int kBusyWriterMillis = 2;
    const bool rings =
        std::any_of(ready.begin() + first_ring, ready.end(), [](const pollfd& p) { return p.revents != 0; });
    if (rings && std::none_of(sources_.begin(), sources_.end(),
                              [](const Source& source) { return source.watched.ring->block_ready(); }))
        poll(ready.data(), 1, kBusyWriterMillis);
}

void Capture::run() {
    for (;;) {
        take_messages();
        bool busy = false;
        for (Source& source : sources_) busy |= serve(source);
        tell_lull_if_due();
        forget_left();
        tell_judged();
        if (draining_ && sources_.empty()) break;
        if (!busy) wait_for_blocks();
    }
    links_.session.post(CaptureDrained{});
}

}  // namespace tracedump
