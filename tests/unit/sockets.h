// Real sockets for the tests that ask the kernel: opened on the loopback, with their cookies and ends.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "helpers.h"
#include "ports/endpoint.h"
#include "ports/socket.h"
#include "util/fd.h"

namespace tracedump::test {

inline void check(bool good, const char* what) {
    if (!good) throw std::system_error(errno, std::generic_category(), what);
}

inline UniqueFd open_socket(int family, int type, int protocol = 0) {
    UniqueFd socket(::socket(family, type | SOCK_CLOEXEC, protocol));
    check(static_cast<bool>(socket), "socket");
    return socket;
}

struct RawAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

inline RawAddress raw(const Endpoint& endpoint, int family) {
    RawAddress address;
    if (family == AF_INET) {
        auto* in = reinterpret_cast<sockaddr_in*>(&address.storage);
        *in = {};
        in->sin_family = AF_INET;
        in->sin_port = htons(endpoint.port);
        in->sin_addr.s_addr = htonl(endpoint.address.low32());
        address.length = sizeof *in;
    } else {
        auto* in = reinterpret_cast<sockaddr_in6*>(&address.storage);
        *in = {};
        in->sin6_family = AF_INET6;
        in->sin6_port = htons(endpoint.port);
        std::copy(endpoint.address.bytes().begin(), endpoint.address.bytes().end(), in->sin6_addr.s6_addr);
        address.length = sizeof *in;
    }
    return address;
}

inline Endpoint loopback(int family, std::uint16_t port = 0) {
    return {address(family == AF_INET ? "127.0.0.1" : "::1"), port};
}

inline void bind_to(const UniqueFd& socket, const Endpoint& endpoint, int family) {
    const auto address = raw(endpoint, family);
    check(bind(socket.get(), address.get(), address.length) == 0, "bind");
}
inline void bind_to_loopback(const UniqueFd& socket, int family) { bind_to(socket, loopback(family), family); }
inline void bind_to_any6(const UniqueFd& socket) { bind_to(socket, {}, AF_INET6); }

inline void connect_to(const UniqueFd& socket, const Endpoint& endpoint, int family) {
    const auto address = raw(endpoint, family);
    check(connect(socket.get(), address.get(), address.length) == 0, "connect");
}

/// By sendto(2), which gives an unbound socket a port.
inline void send_one_to(const UniqueFd& socket, const Endpoint& endpoint, int family) {
    const auto address = raw(endpoint, family);
    check(sendto(socket.get(), "x", 1, 0, address.get(), address.length) == 1, "sendto");
}

/// Whether this machine has a loopback address of the family.
inline bool has_loopback(int family) {
    const UniqueFd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto address = raw(loopback(family), family);
    return socket && bind(socket.get(), address.get(), address.length) == 0;
}

inline SocketCookie cookie_of(const UniqueFd& socket) {
    SocketCookie cookie = 0;
    socklen_t length = sizeof cookie;
    check(getsockopt(socket.get(), SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0, "SO_COOKIE");
    return cookie;
}

inline Endpoint local_end(const UniqueFd& socket) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    check(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0, "getsockname");
    return endpoint_of(address, length).value();
}

inline Endpoint remote_end(const UniqueFd& socket) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    check(getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0, "getpeername");
    return endpoint_of(address, length).value();
}

/// A TCP connection on the loopback: all three sockets of it.
struct Connection {
    explicit Connection(int family)
        : listener(open_socket(family, SOCK_STREAM)), client(open_socket(family, SOCK_STREAM)) {
        bind_to_loopback(listener, family);
        check(listen(listener.get(), 1) == 0, "listen");
        connect_to(client, local_end(listener), family);
        server.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        check(static_cast<bool>(server), "accept");
    }
    UniqueFd listener, client, server;
};

}  // namespace tracedump::test
