// LINKTYPE_LINUX_SLL: the header that stands for a packet's link layer, whatever that was (pcap-linktype(7)).
#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "messages/packet_batch.h"

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

}  // namespace tracedump
