#include "util/netlink.h"

#include <libmnl/libmnl.h>
#include <sys/socket.h>

#include <cerrno>

namespace tracedump {

NetlinkSocket open_netlink(int bus, int flags) {
    return {mnl_socket_open2(bus, SOCK_CLOEXEC | flags), mnl_socket_close};
}

int ask_netlink(const NetlinkSocket& socket, std::span<char> buffer, const nlmsghdr* question,
                int (*read)(const nlmsghdr*, void*), void* data) {
    const unsigned sequence = question->nlmsg_seq;
    if (mnl_socket_sendto(socket.get(), question, question->nlmsg_len) < 0) return 0;
    const ssize_t length = recv(mnl_socket_get_fd(socket.get()), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (length <= 0) return 0;
    return mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), sequence, 0, read, data) < 0 ? errno : 0;
}

}  // namespace tracedump
