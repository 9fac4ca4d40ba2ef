// Asks the kernel about one socket of a network namespace by its port and cookie (sock_diag(7)), without its
// descriptor, in a few microseconds. One thread at a time.
#pragma once

#include <optional>

#include "ports/socket.h"
#include "util/netlink.h"

namespace tracedump {

class SocketInquiry {
public:
    /// In the network namespace of the calling thread, whoever asks later. Without sock_diag there are no answers.
    SocketInquiry();

    /// Of an unconnected UDP socket, or a TCP listener, on IPv6's wildcard address: whether it receives IPv6 alone
    /// (IPV6_V6ONLY in ipv6(7)). Nothing if it is gone, or not to be told from another on its port.
    std::optional<bool> is_v6_only(const SocketInfo& socket);

private:
    NetlinkSocket netlink_;
};

}  // namespace tracedump
