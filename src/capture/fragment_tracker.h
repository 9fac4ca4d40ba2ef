// Decides the later fragments of a datagram by its first one, which alone has the ports. Fragments may come in any
// order: those that come before their first one are held, as copies, until it comes. Bounded in datagrams remembered
// and in bytes held; what exceeds that, or waits too long, is given up, oldest first. Capture thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "capture/packet.h"
#include "messages/packet_batch.h"

namespace tracedump {

class FragmentTracker {
public:
    static constexpr std::size_t kMaxDatagrams = 4096;
    static constexpr std::size_t kMaxHeldBytes = 4 << 20;
    /// As long as Linux tries to reassemble (net.ipv4.ipfrag_time).
    static constexpr Timestamp kPatience = 30 * kNanosPerSecond;

    enum class Fate : std::uint8_t { ours, foreign, held };

    /// A first fragment has been judged. Returns the later ones that were held and are the application's too.
    std::vector<HeldPacket> on_first(const DatagramKey& datagram, bool ours, Timestamp time);

    /// A later fragment; a copy is kept if its first one has not been seen.
    Fate on_later(const DatagramKey& datagram, const PacketRef& packet);

    /// Held packets that turned out foreign or were given up, since the last call.
    std::uint64_t take_given_up() { return std::exchange(given_up_, 0); }

private:
    struct Datagram {
        std::uint64_t serial = 0;  // tells it from a later datagram with the same key
        bool judged = false;
        bool ours = false;
        std::vector<HeldPacket> held;
    };
    struct Hash {
        std::size_t operator()(const DatagramKey& key) const;
    };
    struct Age {
        DatagramKey key;
        std::uint64_t serial;
        Timestamp time;
    };

    Datagram& remember(const DatagramKey& key, Timestamp time);
    void drop_held(Datagram& datagram);
    void forget_oldest();
    void make_room(std::size_t bytes, Timestamp now);

    std::unordered_map<DatagramKey, Datagram, Hash> datagrams_;
    std::deque<Age> ages_;  // oldest first; of some the datagram is gone
    std::size_t held_bytes_ = 0;
    std::uint64_t last_serial_ = 0;
    std::uint64_t given_up_ = 0;
};

}  // namespace tracedump
