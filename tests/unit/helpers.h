// What the unit tests share: endpoints and sockets from text, packets from their parts, folders that go away.
#pragma once

#include <arpa/inet.h>
#include <linux/if_ether.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "ports/port_filter.h"

namespace tracedump::test {

using Bytes = std::vector<std::uint8_t>;

inline Address address(const std::string& text) {
    std::array<std::uint8_t, 16> bytes{};
    if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1)
        return Address::v4(std::span<const std::uint8_t>(bytes).first<4>());
    if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return Address::v6(bytes);
    throw std::invalid_argument("no address: " + text);
}

/// "192.0.2.1:80", "[2001:db8::1]:80", "*:80" (the IPv6 wildcard).
inline Endpoint endpoint(const std::string& text) {
    const auto colon = text.rfind(':');
    std::string host = text.substr(0, colon);
    const auto port = static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1)));
    if (host == "*") return {Address(), port};
    if (host.front() == '[') host = host.substr(1, host.size() - 2);
    return {address(host), port};
}

inline SocketInfo socket_of(Transport transport, SocketCookie cookie, const std::string& local,
                            const std::string& remote = "") {
    SocketInfo info;
    info.cookie = cookie;
    info.transport = transport;
    info.local = endpoint(local);
    info.families = info.local.address.is_v4() ? Families::v4 : Families::v6;
    if (info.local.address == Address()) info.families = Families::both;
    if (!remote.empty()) info.remote = endpoint(remote);
    return info;
}
inline SocketInfo tcp(SocketCookie cookie, const std::string& local, const std::string& remote = "") {
    return socket_of(Transport::tcp, cookie, local, remote);
}
inline SocketInfo udp(SocketCookie cookie, const std::string& local) {
    return socket_of(Transport::udp, cookie, local);
}

/// A filter of which only enforce() does something: what it is told to.
template <typename Enforce>
std::shared_ptr<PortFilter> filter_that(Enforce enforce) {
    class Filter : public PortFilter {
    public:
        explicit Filter(Enforce what) : what_(std::move(what)) {}
        void enforce(const PortSet& set) override { what_(set); }

    private:
        Enforce what_;
    };
    return std::make_shared<Filter>(std::move(enforce));
}

/// A set with a claim to each of the ports.
template <typename Ports>
PortSet set_of_ports(const Ports& ports) {
    PortSet set;
    for (const auto port : ports) {
        SocketInfo info = udp(1U + static_cast<SocketCookie>(port), "*:0");
        info.local.port = static_cast<std::uint16_t>(port);
        set.insert({info, kAlways, kNever});
    }
    return set;
}

inline void put16(Bytes& out, unsigned value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
}

/// A transport header with some payload: the ports, then `size` bytes in all.
inline Bytes transport_header(const Endpoint& source, const Endpoint& destination, std::size_t size = 20) {
    Bytes out;
    put16(out, source.port);
    put16(out, destination.port);
    out.resize(size, 0x5a);
    return out;
}

struct Ipv4Parts {
    int protocol = IPPROTO_TCP;
    unsigned option_words = 0;
    unsigned fragment_offset = 0;  // in units of 8 bytes
    bool more_fragments = false;
};

inline Bytes ipv4_packet(const Endpoint& source, const Endpoint& destination, const Ipv4Parts& parts = {}) {
    const Bytes payload = transport_header(source, destination);
    const unsigned header = 20 + 4 * parts.option_words;
    Bytes out{static_cast<std::uint8_t>(0x40 | header / 4), 0};
    put16(out, header + static_cast<unsigned>(payload.size()));
    put16(out, 0x1234);
    put16(out, (parts.more_fragments ? 0x2000U : 0U) | parts.fragment_offset);
    out.push_back(64);
    out.push_back(static_cast<std::uint8_t>(parts.protocol));
    put16(out, 0);
    for (const Address* a : {&source.address, &destination.address})
        out.insert(out.end(), a->bytes().begin() + 12, a->bytes().end());
    out.resize(header, 1);  // NOP options
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

/// An IPv6 extension header: its own number, and its bytes, of which the first is to become the next header's number.
struct Extension {
    int number;
    Bytes bytes;
};

/// Hop-by-hop, routing, destination options and mobility headers: `units` of 8 bytes beyond the first 8.
inline Extension option_header(int number, unsigned units = 0) {
    Bytes bytes(8 + 8 * units, 0);
    bytes[1] = static_cast<std::uint8_t>(units);
    return {number, bytes};
}
inline Extension fragment_header(unsigned offset, bool more) {
    Bytes bytes{0, 0};
    put16(bytes, offset << 3 | (more ? 1U : 0U));
    bytes.resize(8, 0);
    return {IPPROTO_FRAGMENT, bytes};
}
/// An authentication header of `words` 32-bit words in all, at least 3.
inline Extension authentication_header(unsigned words) {
    Bytes bytes(4 * words, 0);
    bytes[1] = static_cast<std::uint8_t>(words - 2);
    return {IPPROTO_AH, bytes};
}

inline Bytes ipv6_packet(const Endpoint& source, const Endpoint& destination, int protocol = IPPROTO_TCP,
                         std::vector<Extension> extensions = {}) {
    Bytes payload;
    for (std::size_t i = 0; i < extensions.size(); ++i) {
        const int next = i + 1 < extensions.size() ? extensions[i + 1].number : protocol;
        extensions[i].bytes[0] = static_cast<std::uint8_t>(next);
        payload.insert(payload.end(), extensions[i].bytes.begin(), extensions[i].bytes.end());
    }
    const Bytes transport = transport_header(source, destination);
    payload.insert(payload.end(), transport.begin(), transport.end());
    Bytes out{0x60, 0, 0, 0};
    put16(out, static_cast<unsigned>(payload.size()));
    out.push_back(static_cast<std::uint8_t>(extensions.empty() ? protocol : extensions.front().number));
    out.push_back(64);
    for (const Address* a : {&source.address, &destination.address})
        out.insert(out.end(), a->bytes().begin(), a->bytes().end());
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

/// An ICMP or ICMPv6 message of that type from `source` to `destination` (ports are not used) that quotes a packet.
inline Bytes icmp_message(const Endpoint& source, const Endpoint& destination, std::uint8_t type, const Bytes& quoted) {
    const bool v4 = source.address.is_v4();
    Bytes out = v4 ? ipv4_packet(source, destination, {.protocol = IPPROTO_ICMP})
                   : ipv6_packet(source, destination, IPPROTO_ICMPV6);
    out.resize(v4 ? 20 : 40);
    out.push_back(type);
    out.resize(out.size() + 7, 0);
    out.insert(out.end(), quoted.begin(), quoted.end());
    const std::size_t length = v4 ? out.size() : out.size() - 40;
    out[v4 ? 2 : 4] = static_cast<std::uint8_t>(length >> 8);
    out[v4 ? 3 : 5] = static_cast<std::uint8_t>(length);
    return out;
}

/// A folder of its own for a test, removed at the end.
class TempFolder {
public:
    TempFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "tracedump-test-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path_ = pattern;
    }
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;

    std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }

    /// Writes a file, with the folders above it.
    void write(const std::string& name, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
        std::ofstream(path(name)) << text;
    }

    std::string read(const std::string& name) const {
        std::ifstream file(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

private:
    std::string path_;
};

}  // namespace tracedump::test
