// A packet crosses several devices on its way through one host: a bridge and its port, a VLAN or macvlan and the device
// beneath, a bond and its members. The packet socket sees it on each; it is recorded where it is seen first.
//
// Equal packets are no proof of a duplicate: a datagram that is sent twice looks the same twice, on every device. So
// they are counted, by device: a packet is new if its device has now seen more of its like than any other device has.
// Bounded: what was not seen for a while, or finds no room, is forgotten. Capture thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "util/clock.h"

namespace tracedump {

class DuplicateFilter {
public:
    /// An interface of any network namespace under capture, not 0.
    using DeviceId = std::uint64_t;

    /// A packet needs less than this from device to device, queueing disciplines included.
    static constexpr Timestamp kWindow = kNanosPerSecond;

    DuplicateFilter();

    /// Whether this packet was recorded already, when another device saw it. `data` begins at the network header.
    bool is_duplicate(std::span<const std::uint8_t> data, std::uint32_t original_length, DeviceId device,
                      Timestamp time);

private:
    static constexpr std::size_t kSets = 1 << 14;
    static constexpr std::size_t kWays = 8;
    static constexpr std::size_t kDevices = 4;  // that a packet may cross; of more, the rest count as new

    struct Seen {
        DeviceId device = 0;  // 0: free
        std::uint32_t count = 0;
    };
    /// Packets that look the same.
    struct Kind {
        std::uint64_t hash = 0;
        Timestamp last = 0;
        std::array<Seen, kDevices> seen{};
    };

    Kind& kind_of(std::uint64_t hash, Timestamp time);

    // All zeros at first, as the kernel's fresh pages are: a short capture touches few of ten MiB.
    std::unique_ptr<Kind[], decltype(&std::free)> kinds_;
};

}  // namespace tracedump
