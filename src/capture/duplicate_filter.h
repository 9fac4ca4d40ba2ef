// A packet crosses several devices on its way through one host: a bridge and its port, a VLAN or macvlan and the device
// beneath, a bond and its members. The packet socket sees it on each; it is recorded where it is seen first.
//
// Equal packets are no proof of a duplicate: a datagram that is sent twice looks the same twice, on every device. So
// they are counted, by device: a packet is new if its device has now seen more of its like than any other device has.
// While all packets come from one device, there is nothing to compare: they are only noted down, one after the other,
// and counted when another device shows up.
// Bounded: what was not seen for a while, or finds no room, is forgotten. Capture thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "util/clock.h"

namespace tracedump {

class DuplicateFilter {
public:
    /// An interface of any network namespace under capture, not 0.
    using DeviceId = std::uint64_t;

    /// A packet needs less than this from device to device, queueing disciplines included.
    static constexpr Timestamp kWindow = kNanosPerSecond;

    /// Whether this packet was recorded already, when another device saw it. `data` begins at the network header.
    bool is_duplicate(std::span<const std::uint8_t> data, std::uint32_t original_length, DeviceId device,
                      Timestamp time);

private:
    static constexpr std::size_t kSets = 1 << 14;
    static constexpr std::size_t kWays = 8;
    static constexpr std::size_t kDevices = 4;  // that a packet may cross; of more, the rest count as new
    static constexpr std::size_t kNotes = 1 << 16;

    struct Seen {
        DeviceId device = 0;  // 0: free
        std::uint32_t count = 0;
    };
    /// Kinds of packets, those that look the same being one: a column each. A look at all hashes is one cache line.
    struct Set {
        std::array<std::uint64_t, kWays> hashes{};
        std::array<Timestamp, kWays> last{};
        std::array<std::array<Seen, kDevices>, kWays> seen{};
    };
    struct Note {
        std::uint64_t hash = 0;
        Timestamp time = 0;
    };

    void on_other_device(DeviceId device, Timestamp time);
    bool count(std::uint64_t hash, DeviceId device, Timestamp time);
    std::array<Seen, kDevices>& kind_of(std::uint64_t hash, Timestamp time);

    DeviceId latest_ = 0;               // the device that the last packet came from
    Timestamp shared_until_ = kAlways;  // until then packets may come that another device has seen
    std::vector<Note> notes_;           // of packets from `latest_` alone; a circle when it is full
    std::size_t oldest_note_ = 0;
    std::vector<Set> sets_;  // none before there is a second device
};

}  // namespace tracedump
