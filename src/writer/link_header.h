// LINKTYPE_LINUX_SLL: the header that stands for a packet's link layer, whatever that was (pcap-linktype(7)); and a
// packet behind it, as every format has it.
#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "messages/packet_batch.h"
#include "util/bytes.h"

namespace tracedump {

inline constexpr std::uint16_t kLinkType = 113;  // LINKTYPE_LINUX_SLL

/// All in network byte order.
struct LinkHeader {
    explicit LinkHeader(const PacketRef& packet)
        : direction(htons(packet.direction)),
          arphrd(htons(packet.arphrd)),
          address_length(htons(packet.address_length)),
          ethertype(htons(packet.ethertype)) {
        std::memcpy(address, packet.address, std::min<std::size_t>(packet.address_length, sizeof address));
    }

    std::uint16_t direction;
    std::uint16_t arphrd;
    std::uint16_t address_length;
    std::uint8_t address[8] = {};
    std::uint16_t ethertype;
};
inline constexpr std::uint32_t kLinkHeaderSize = 16;
static_assert(sizeof(LinkHeader) == kLinkHeaderSize);

/// Bytes kept of a packet, its link header included.
inline std::uint32_t kept_of(const PacketRef& packet, std::uint32_t snaplen) {
    return std::min(packet.captured_length + kLinkHeaderSize, snaplen);
}

/// Link header and packet, the first `kept` bytes of them.
inline std::uint8_t* put_packet(std::uint8_t* out, const PacketRef& packet, std::uint32_t kept) {
    out = put(out, LinkHeader(packet), std::min(kept, kLinkHeaderSize));
    if (kept <= kLinkHeaderSize) return out;
    std::memcpy(out, packet.data, kept - kLinkHeaderSize);
    return out + (kept - kLinkHeaderSize);
}

}  // namespace tracedump
