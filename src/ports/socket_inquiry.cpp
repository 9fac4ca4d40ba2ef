#include "ports/socket_inquiry.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>

namespace tracedump {

namespace {

/// The two ends are swapped for UDP, "for historical reasons" (udp_dump_one in net/ipv4/udp_diag.c).
nlmsghdr* question_about(const SocketInfo& socket, char* buffer) {
    nlmsghdr* header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST;
    auto* body = static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(header, sizeof(inet_diag_req_v2)));
    body->sdiag_family = AF_INET6;
    body->sdiag_protocol = static_cast<std::uint8_t>(socket.transport);
    body->idiag_states = ~0U;
    (socket.transport == Transport::tcp ? body->id.idiag_sport : body->id.idiag_dport) = htons(socket.local.port);
    body->id.idiag_cookie[0] = static_cast<std::uint32_t>(socket.cookie);
    body->id.idiag_cookie[1] = static_cast<std::uint32_t>(socket.cookie >> 32);
    return header;
}

int read_attribute(const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == INET_DIAG_SKV6ONLY && mnl_attr_validate(attribute, MNL_TYPE_U8) == 0)
        *static_cast<std::optional<bool>*>(data) = mnl_attr_get_u8(attribute) != 0;
    return MNL_CB_OK;
}

int read_answer(const nlmsghdr* header, void* data) {
    mnl_attr_parse(header, sizeof(inet_diag_msg), read_attribute, data);
    return MNL_CB_STOP;
}

}  // namespace

SocketInquiry::SocketInquiry() : netlink_(open_netlink(NETLINK_SOCK_DIAG)) {}

std::optional<bool> SocketInquiry::is_v6_only(const SocketInfo& socket) {
    if (!netlink_) return std::nullopt;
    std::array<char, 8192> buffer;
    std::optional<bool> only;
    // With an error if there is no such socket.
    ask_netlink(netlink_, buffer, question_about(socket, buffer.data()), read_answer, &only);
    return only;
}

}  // namespace tracedump
