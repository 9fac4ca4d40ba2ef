#include "gc/sock_diag.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "gc/port_condition.h"
#include "util/error.h"

namespace tracedump {

namespace {

constexpr std::uint32_t state_bit(SocketState state) { return 1U << static_cast<unsigned>(state); }
constexpr std::uint32_t kAllStates = ~0U;
constexpr std::uint32_t kConnectedStates =
    ~(state_bit(SocketState::time_wait) | state_bit(SocketState::closed) | state_bit(SocketState::listening));
constexpr std::uint32_t kClosingStates = state_bit(SocketState::fin_wait1) | state_bit(SocketState::fin_wait2) |
                                         state_bit(SocketState::closing) | state_bit(SocketState::last_ack);

// A burst of some ten thousand deaths, before the gc thread gets a CPU.
constexpr int kDeathsBuffer = 8 << 20;  // bytes

NetlinkSocket open_sock_diag() {
    NetlinkSocket socket = open_netlink(NETLINK_SOCK_DIAG);
    if (!socket) throw_errno(errno, "cannot open a sock_diag socket");
    if (mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) throw_errno(errno, "cannot bind a sock_diag socket");
    return socket;
}

Address address_of(std::uint8_t family, const __be32 (&words)[4]) {
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), words, sizeof words);
    if (family == AF_INET) return Address::v4(std::span<const std::uint8_t>(bytes).first<4>());
    return Address::v6(bytes);
}

SocketRow row_of(const inet_diag_msg& message, Transport transport) {
    SocketRow row;
    row.cookie = static_cast<SocketCookie>(message.id.idiag_cookie[1]) << 32 | message.id.idiag_cookie[0];
    row.transport = transport;
    row.state = static_cast<SocketState>(message.idiag_state);
    row.inode = message.idiag_inode;
    row.local = {address_of(message.idiag_family, message.id.idiag_src), ntohs(message.id.idiag_sport)};
    row.remote = {address_of(message.idiag_family, message.id.idiag_dst), ntohs(message.id.idiag_dport)};
    return row;
}

/// What a callback of libmnl gathers.
struct Gathering {
    std::vector<SocketRow>& rows;
    std::optional<Transport> transport;         // of the request; a multicast message carries its own
    std::span<const std::uint16_t> ports = {};  // none: all
};

int read_flow(const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == MPTCP_SUBFLOW_ATTR_TOKEN_LOC && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
        static_cast<SocketRow*>(data)->token = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

/// Multipath TCP is an "upper layer protocol" of its flows. Its token is told to CAP_NET_ADMIN alone.
int read_upper_layer(const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == INET_ULP_INFO_MPTCP) mnl_attr_parse_nested(attribute, read_flow, data);
    return MNL_CB_OK;
}

int read_attribute(const nlattr* attribute, void* data) {
    auto& row = *static_cast<SocketRow*>(data);
    if (mnl_attr_get_type(attribute) == INET_DIAG_PROTOCOL && mnl_attr_validate(attribute, MNL_TYPE_U8) == 0) {
        if (const auto transport = transport_of(mnl_attr_get_u8(attribute))) row.transport = *transport;
    } else if (mnl_attr_get_type(attribute) == INET_DIAG_SKV6ONLY && mnl_attr_validate(attribute, MNL_TYPE_U8) == 0) {
        row.only_v6 = mnl_attr_get_u8(attribute) != 0;
    } else if (mnl_attr_get_type(attribute) == INET_DIAG_ULP_INFO) {
        mnl_attr_parse_nested(attribute, read_upper_layer, &row);
    }
    return MNL_CB_OK;
}

int gather(const nlmsghdr* header, void* data) {
    auto& gathering = *static_cast<Gathering*>(data);
    if (mnl_nlmsg_get_payload_len(header) < sizeof(inet_diag_msg)) return MNL_CB_OK;
    const auto& message = *static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(header));
    if (!gathering.ports.empty() &&
        !std::binary_search(gathering.ports.begin(), gathering.ports.end(), ntohs(message.id.idiag_sport)))
        return MNL_CB_OK;
    SocketRow row = row_of(message, gathering.transport.value_or(Transport::tcp));
    mnl_attr_parse(header, sizeof message, read_attribute, &row);
    if (gathering.transport) row.transport = *gathering.transport;
    // A dump lists unbound sockets too; a death without a port is still told by its cookie.
    if (row.local.port != 0 || !gathering.transport) gathering.rows.push_back(row);
    return MNL_CB_OK;
}

nlmsghdr* request(char* buffer, int protocol, int family, std::uint32_t states, std::uint16_t flags) {
    nlmsghdr* header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    auto* body = static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(header, sizeof(inet_diag_req_v2)));
    body->sdiag_family = static_cast<std::uint8_t>(family);
    // IPPROTO_MPTCP needs more than 8 bits; a kernel that does not know the attribute is asked for TCP again.
    body->sdiag_protocol = static_cast<std::uint8_t>(protocol);
    body->idiag_states = states;
    body->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    body->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    if (protocol == IPPROTO_MPTCP)
        mnl_attr_put_u32(header, INET_DIAG_REQ_PROTOCOL, static_cast<std::uint32_t>(protocol));
    return header;
}

}  // namespace

struct SockDiagTable::Wanted {
    std::uint32_t states = kAllStates;
    std::span<const std::uint16_t> ports = {};     // none: all
    std::span<const std::uint8_t> condition = {};  // the kernel's part of that; see port_condition
    bool flows = false;                            // with their tokens
};

SockDiagTable::SockDiagTable() : socket_(open_sock_diag()) {
    std::vector<SocketRow> probe;
    if (!dump(IPPROTO_TCP, AF_INET, {.states = state_bit(SocketState::listening)}, probe))
        throw_errno(errno, "cannot list sockets through sock_diag");
}

bool SockDiagTable::dump(int protocol, int family, const Wanted& wanted, std::vector<SocketRow>& rows) {
    std::array<char, 32768> buffer;
    nlmsghdr* header = request(buffer.data(), protocol, family, wanted.states, NLM_F_DUMP);
    if (!wanted.condition.empty())
        mnl_attr_put(header, INET_DIAG_REQ_BYTECODE, wanted.condition.size(), wanted.condition.data());
    // A flow's token comes with tcp_info, for which the kernel locks each socket.
    if (wanted.flows)
        static_cast<inet_diag_req_v2*>(mnl_nlmsg_get_payload(header))->idiag_ext = 1U << (INET_DIAG_INFO - 1);
    if (mnl_socket_sendto(socket_.get(), header, header->nlmsg_len) < 0) return false;
    Gathering gathering{rows, transport_of(protocol).value_or(Transport::tcp), wanted.ports};
    for (;;) {
        const ssize_t length = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
        if (length < 0) return false;
        const int more = mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), 0,
                                    mnl_socket_get_portid(socket_.get()), gather, &gathering);
        if (more < 0) return false;
        if (more == MNL_CB_STOP) return true;
    }
}

std::optional<std::vector<SocketRow>> SockDiagTable::list(Transport transport, std::span<const std::uint16_t> ports) {
    std::vector<SocketRow> rows;
    if (ports.empty()) return rows;
    const auto condition = port_condition(ports);
    for (const int family : {AF_INET, AF_INET6})
        // UDP-Lite may be missing from the kernel (ENOENT): then there are no such sockets.
        if (!dump(static_cast<int>(transport), family, {.ports = ports, .condition = condition}, rows) &&
            errno != ENOENT)
            return std::nullopt;
    return rows;
}

std::optional<std::vector<SocketRow>> SockDiagTable::list_all() {
    std::vector<SocketRow> rows;
    for (const int family : {AF_INET, AF_INET6})
        for (const int protocol : {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE})
            if (!dump(protocol, family, {}, rows) && errno != ENOENT) return std::nullopt;
    std::erase_if(rows, [](const SocketRow& row) { return row.local.port == 0; });
    return rows;
}

std::vector<SocketRow> SockDiagTable::list_closing() {
    std::vector<SocketRow> rows;
    // A Multipath TCP connection closes before its flows do, which look established until then: look at it first.
    for (const int protocol : {IPPROTO_MPTCP, IPPROTO_TCP})
        for (const int family : {AF_INET, AF_INET6}) dump(protocol, family, {.states = kClosingStates}, rows);
    return rows;
}

std::vector<SocketRow> SockDiagTable::list_flows(std::span<const std::uint16_t> ports) {
    if (ports.empty()) return {};
    const auto condition = port_condition(ports);
    return flows({.ports = ports, .condition = condition});
}

std::vector<SocketRow> SockDiagTable::list_all_flows() { return flows({}); }

std::vector<SocketRow> SockDiagTable::flows(Wanted wanted) {
    wanted.states = kConnectedStates;
    wanted.flows = true;
    std::vector<SocketRow> rows;
    for (const int family : {AF_INET, AF_INET6}) dump(IPPROTO_TCP, family, wanted, rows);
    std::erase_if(rows, [](const SocketRow& row) { return row.token == 0; });
    return rows;
}

SocketDeaths::SocketDeaths() : socket_(open_sock_diag()) {
    // Beyond net.core.rmem_max with CAP_NET_ADMIN, which joining the groups takes too.
    setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &kDeathsBuffer, sizeof kDeathsBuffer);
}

void SocketDeaths::hear_udp() {
    join({SKNLGRP_INET_UDP_DESTROY, SKNLGRP_INET6_UDP_DESTROY});
    hears_udp_ = true;
}

void SocketDeaths::hear_tcp() {
    join({SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY});
    hears_tcp_ = true;
}

void SocketDeaths::join(std::initializer_list<int> groups) {
    for (int group : groups)
        if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
            throw_errno(errno, "cannot listen for the death of sockets");
}

int SocketDeaths::fd() const { return mnl_socket_get_fd(socket_.get()); }

SocketDeaths::Heard SocketDeaths::take() {
    Heard heard;
    Gathering gathering{heard.dead, std::nullopt, {}};
    std::array<char, 8192> buffer;
    for (;;) {
        const ssize_t length = recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0 && errno == ENOBUFS) {  // netlink(7): messages were dropped; what is queued is still good
            heard.lost_some = true;
            continue;
        }
        if (length <= 0) return heard;
        mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), 0, 0, gather, &gathering);
    }
}

}  // namespace tracedump
