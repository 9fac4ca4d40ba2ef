// Packets whose owner is not known yet: a connect is under way that may have sent them. Kept aside, as copies and in
// order, so that the walk through the ring goes on, until the connect's port is known. Bounded in bytes and in time;
// what exceeds that is given up, oldest first. Capture thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <utility>

#include "capture/packet.h"
#include "messages/packet_batch.h"

namespace tracedump {

class UndecidedPackets {
public:
    using Clock = std::chrono::steady_clock;

    static constexpr std::size_t kMaxBytes = 8 << 20;
    /// The monitor learns a port within milliseconds. More means that the machine is stalled, or that a tracee was
    /// stopped just before its connect could run, and then what waits is foreign.
    static constexpr std::chrono::seconds kPatience{5};

    bool empty() const { return packets_.empty(); }

    /// The timestamp of the packet that has waited longest; not when empty.
    Timestamp oldest() const { return packets_.front().packet.ref().time; }

    void hold(const PacketRef& packet, const ParsedPacket& parsed, Clock::time_point now);

    /// Calls decide(HeldPacket&&, parsed) for each, oldest first; it returns false to have the packet stay, and then
    /// must not have moved it.
    template <typename Decide>
    void settle(Decide decide);

    /// Gives up those that have waited too long, or all.
    void give_up_old(Clock::time_point now);
    void give_up_all();

    /// How many were given up since the last call.
    std::uint64_t take_given_up() { return std::exchange(given_up_, 0); }

private:
    struct Undecided {
        HeldPacket packet;
        ParsedPacket parsed;
        Clock::time_point since;
    };

    void give_up_oldest();

    std::deque<Undecided> packets_;  // oldest first
    std::size_t bytes_ = 0;
    std::uint64_t given_up_ = 0;
};

template <typename Decide>
void UndecidedPackets::settle(Decide decide) {
    std::deque<Undecided> staying;
    bytes_ = 0;
    for (Undecided& undecided : packets_) {
        const std::size_t size = undecided.packet.size();
        if (decide(std::move(undecided.packet), undecided.parsed)) continue;
        bytes_ += size;
        staying.push_back(std::move(undecided));
    }
    packets_ = std::move(staying);
}

}  // namespace tracedump
