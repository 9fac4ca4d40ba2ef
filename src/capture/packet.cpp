#include "capture/packet.h"

#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>

namespace tracedump {

namespace {

using Bytes = std::span<const std::uint8_t>;

std::uint16_t be16(Bytes data, std::size_t at) { return static_cast<std::uint16_t>(data[at] << 8 | data[at + 1]); }

/// An error quotes packets; a quoted error would be none of ours.
enum class Quoting : std::uint8_t { may_quote, is_quoted };

constexpr std::size_t kTcpFlags = 13;  // RFC 9293, 3.1
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kAck = 0x10;

// Those that read a part of a packet say whether they understood it. They fill in one packet in place: copies of it
// would cost more than the reading.
bool read_quote(ParsedPacket& packet, Bytes error, std::uint8_t protocol);

/// Fills in the ports from the transport header at `at`, where all three protocols have them first.
bool read_ports(ParsedPacket& packet, Bytes data, std::size_t at, std::uint8_t protocol, Quoting quoting) {
    if ((protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) && quoting == Quoting::may_quote && !packet.fragment)
        return read_quote(packet, data.subspan(std::min(at, data.size())), protocol);
    const auto transport = transport_of(protocol);
    if (!transport || data.size() < at + 4) return false;
    packet.kind = ParsedPacket::Kind::ports;
    packet.transport = *transport;
    packet.source.port = be16(data, at);
    packet.destination.port = be16(data, at + 2);
    if (*transport == Transport::tcp && data.size() > at + kTcpFlags)
        packet.opens_connection = (data[at + kTcpFlags] & (kSyn | kAck)) == kSyn;
    return true;
}

bool read_ipv4(ParsedPacket& packet, Bytes data, Quoting quoting) {
    constexpr std::size_t kMinHeader = 20;
    constexpr std::uint16_t kMoreFragments = 0x2000;
    constexpr std::uint16_t kFragmentOffset = 0x1fff;
    if (data.size() < kMinHeader || data[0] >> 4 != 4) return false;
    const std::size_t header = static_cast<std::size_t>(data[0] & 0x0f) * 4;
    if (header < kMinHeader || data.size() < header) return false;
    // What follows the packet's own length is the link's padding. 0: longer than the field can say (BIG TCP).
    if (const std::size_t total = be16(data, 2); total != 0) data = data.first(std::min(data.size(), total));
    if (data.size() < header) return false;
    packet.source.address = Address::v4(data.subspan<12, 4>());
    packet.destination.address = Address::v4(data.subspan<16, 4>());
    const std::uint16_t fragment = be16(data, 6);
    if ((fragment & (kMoreFragments | kFragmentOffset)) != 0) packet.fragment = {be16(data, 4), data[9]};
    if ((fragment & kFragmentOffset) != 0) {
        const auto transport = transport_of(data[9]);
        if (!transport) return false;
        packet.kind = ParsedPacket::Kind::later_fragment;
        packet.transport = *transport;
        return true;
    }
    return read_ports(packet, data, header, data[9], quoting);
}

bool read_ipv6(ParsedPacket& packet, Bytes data, Quoting quoting) {
    constexpr std::size_t kFixedHeader = 40;
    constexpr int kMaxExtensionHeaders = 16;  // more than any sane packet; bounds the work of a hostile one
    if (data.size() < kFixedHeader || data[0] >> 4 != 6) return false;
    if (const std::size_t payload = be16(data, 4); payload != 0)
        data = data.first(std::min(data.size(), kFixedHeader + payload));
    packet.source.address = Address::v6(data.subspan<8, 16>());
    packet.destination.address = Address::v6(data.subspan<24, 16>());
    std::uint8_t next = data[6];
    std::size_t at = kFixedHeader;
    for (int i = 0; i < kMaxExtensionHeaders; ++i) {
        switch (next) {
            case IPPROTO_HOPOPTS:
            case IPPROTO_ROUTING:
            case IPPROTO_DSTOPTS:
            case IPPROTO_MH:
                if (data.size() < at + 2) return false;
                next = data[at];
                at += (static_cast<std::size_t>(data[at + 1]) + 1) * 8;
                break;
            case IPPROTO_AH:
                if (data.size() < at + 2) return false;
                next = data[at];
                at += (static_cast<std::size_t>(data[at + 1]) + 2) * 4;  // RFC 4302: in 4-byte units
                break;
            case IPPROTO_FRAGMENT: {
                if (data.size() < at + 8) return false;
                next = data[at];
                const std::uint16_t fragment = be16(data, at + 2);
                const bool whole = (fragment & 0xfff9) == 0;  // an "atomic fragment", RFC 6946
                const bool first = (fragment & 0xfff8) == 0;
                if (!whole)
                    packet.fragment = {static_cast<std::uint32_t>(be16(data, at + 4)) << 16 | be16(data, at + 6), 0};
                at += 8;
                if (!first) {
                    // `next` may be another extension header: whatever it is, the ports are elsewhere.
                    packet.kind = ParsedPacket::Kind::later_fragment;
                    return true;
                }
                break;
            }
            default:
                return read_ports(packet, data, at, next, quoting);
        }
    }
    return false;
}

/// `error` begins at the ICMP header.
bool read_quote(ParsedPacket& packet, Bytes error, std::uint8_t protocol) {
    constexpr std::size_t kHeader = 8;
    if (error.size() < kHeader || !is_icmp_error(protocol, error[0])) return false;
    const Bytes quote = error.subspan(kHeader);
    const bool understood = protocol == IPPROTO_ICMP ? read_ipv4(packet, quote, Quoting::is_quoted)
                                                     : read_ipv6(packet, quote, Quoting::is_quoted);
    if (!understood || packet.kind != ParsedPacket::Kind::ports) return false;
    packet.kind = ParsedPacket::Kind::icmp_error;
    packet.opens_connection = false;  // the SYN that it quotes was seen before
    packet.fragment.reset();
    return true;
}

}  // namespace

bool is_icmp_error(std::uint8_t protocol, std::uint8_t type) {
    if (protocol == IPPROTO_ICMPV6) return type < kFirstIcmpv6Information;
    return std::find(std::begin(kIcmpErrors), std::end(kIcmpErrors), type) != std::end(kIcmpErrors);
}

ParsedPacket parse_packet(Bytes data, std::uint16_t ethertype) {
    ParsedPacket packet;
    const bool understood = ethertype == ETH_P_IP     ? read_ipv4(packet, data, Quoting::may_quote)
                            : ethertype == ETH_P_IPV6 ? read_ipv6(packet, data, Quoting::may_quote)
                                                      : false;
    if (!understood) packet = {};
    return packet;
}

}  // namespace tracedump
