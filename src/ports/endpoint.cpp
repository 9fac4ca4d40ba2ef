#include "ports/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace tracedump {

namespace {
constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}

std::string_view to_text(Transport transport) {
    switch (transport) {
        case Transport::tcp:
            return "tcp";
        case Transport::udp:
            return "udp";
        case Transport::udplite:
            return "udplite";
    }
    return "?";
}

Address Address::v4(std::span<const std::uint8_t, 4> bytes) {
    // In words, as it is read again: bytes would be waited for, packet after packet.
    std::array<std::uint32_t, 4> words{0, 0, htonl(0xffff), 0};
    std::memcpy(&words[3], bytes.data(), bytes.size());
    Address address;
    address.bytes_ = std::bit_cast<std::array<std::uint8_t, 16>>(words);
    return address;
}

Address Address::v6(std::span<const std::uint8_t, 16> bytes) {
    Address address;
    std::memcpy(address.bytes_.data(), bytes.data(), bytes.size());
    return address;
}

bool Address::is_v4() const { return std::memcmp(bytes_.data(), kMappedPrefix.data(), kMappedPrefix.size()) == 0; }

bool Address::is_wildcard() const {
    const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(bytes_);
    return words[0] == 0 && (words[1] == 0 || (is_v4() && low32() == 0));
}

bool Address::is_group() const {
    if (!is_v4()) return bytes_[0] == 0xff;
    return (bytes_[12] & 0xf0) == 0xe0 || low32() == 0xffffffff;
}

std::uint32_t Address::low32() const {
    std::uint32_t network = 0;
    std::memcpy(&network, bytes_.data() + 12, sizeof network);
    return ntohl(network);
}

std::optional<Endpoint> endpoint_of(const sockaddr_storage& address, socklen_t length) {
    if (address.ss_family == AF_INET && length >= sizeof(sockaddr_in)) {
        sockaddr_in in{};
        std::memcpy(&in, &address, sizeof in);
        std::array<std::uint8_t, 4> bytes{};
        std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
        return Endpoint{Address::v4(bytes), ntohs(in.sin_port)};
    }
    // A sockaddr_in6 may lack its scope id: SIN6_LEN_RFC2133, which the kernel accepts too.
    if (address.ss_family == AF_INET6 && length >= offsetof(sockaddr_in6, sin6_scope_id)) {
        sockaddr_in6 in{};
        std::memcpy(&in, &address, std::min<std::size_t>(length, sizeof in));
        return Endpoint{Address::v6(in.sin6_addr.s6_addr), ntohs(in.sin6_port)};
    }
    return std::nullopt;
}

std::string to_text(const Endpoint& endpoint) {
    if (endpoint.address.is_wildcard()) return fmt::format("*:{}", endpoint.port);
    char text[INET6_ADDRSTRLEN] = {};
    if (endpoint.address.is_v4()) {
        inet_ntop(AF_INET, endpoint.address.bytes().data() + 12, text, sizeof text);
        return fmt::format("{}:{}", text, endpoint.port);
    }
    inet_ntop(AF_INET6, endpoint.address.bytes().data(), text, sizeof text);
    return fmt::format("[{}]:{}", text, endpoint.port);
}

}  // namespace tracedump
