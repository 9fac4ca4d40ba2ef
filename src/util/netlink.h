// Netlink sockets (libmnl), and questions that the kernel answers at once. Any thread, one at a time.
#pragma once

#include <memory>
#include <span>

struct mnl_socket;
struct nlmsghdr;

namespace tracedump {

using NetlinkSocket = std::unique_ptr<mnl_socket, int (*)(mnl_socket*)>;

/// In the network namespace of the calling thread, whoever uses it later; `flags`: SOCK_NONBLOCK, or none. Empty, with
/// errno set, if the kernel refuses.
NetlinkSocket open_netlink(int bus, int flags = 0);

/// Asks, and has `read` look at the answer, which the kernel has queued before the question is sent. `question` lies in
/// `buffer`, which the answer will take; one with a sequence number has answers to others ignored. Returns the error
/// that the kernel answered with, or 0, also if there is no answer.
int ask_netlink(const NetlinkSocket& socket, std::span<char> buffer, const nlmsghdr* question,
                int (*read)(const nlmsghdr*, void*), void* data);

}  // namespace tracedump
