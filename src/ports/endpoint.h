// Addresses and ports, the vocabulary of all rooms. Plain values.
// An IPv4 address is kept as its IPv4-mapped IPv6 form (RFC 4291, 2.5.5.2), so that the dual-stack socket that
// talks to ::ffff:192.0.2.1 and the IPv4 packet from 192.0.2.1 compare equal. Ports are in host byte order.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tracedump {

/// The transports whose packets belong to sockets with ports; the values are the IP protocol numbers.
enum class Transport : std::uint8_t { tcp = IPPROTO_TCP, udp = IPPROTO_UDP, udplite = IPPROTO_UDPLITE };

std::string_view to_text(Transport transport);

/// The transport of an IP protocol number, if it is one of ours.
constexpr std::optional<Transport> transport_of(int ip_protocol) {
    switch (ip_protocol) {
        case IPPROTO_TCP:
        case IPPROTO_UDP:
        case IPPROTO_UDPLITE:
            return static_cast<Transport>(ip_protocol);
        default:
            return std::nullopt;
    }
}

class Address {
public:
    Address() = default;  // the wildcard
    static Address v4(std::span<const std::uint8_t, 4> bytes);
    static Address v6(std::span<const std::uint8_t, 16> bytes);

    bool is_v4() const;
    /// :: or 0.0.0.0, which a socket bound to no address in particular shows.
    bool is_wildcard() const;
    /// A multicast group or 255.255.255.255: an address to receive on, never to send from.
    bool is_group() const;
    const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
    /// The last 32 bits in host byte order: the whole of an IPv4 address, the tail of an IPv6 one.
    std::uint32_t low32() const;

    auto operator<=>(const Address&) const = default;

private:
    std::array<std::uint8_t, 16> bytes_{};
};

struct Endpoint {
    Address address;
    std::uint16_t port = 0;

    auto operator<=>(const Endpoint&) const = default;
};

/// The endpoint in a socket address of `length` bytes; nothing if it is neither AF_INET nor AF_INET6 or too short.
std::optional<Endpoint> endpoint_of(const sockaddr_storage& address, socklen_t length);

/// As tcpdump and ss write it: 192.0.2.1:80, [2001:db8::1]:80, *:80 for the wildcard.
std::string to_text(const Endpoint& endpoint);

}  // namespace tracedump
