#include "capture/conntrack.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "util/error.h"
#include "util/log.h"

namespace tracedump {

namespace {

/// As a packet has it.
struct Tuple {
    Endpoint source;
    Endpoint destination;

    bool operator==(const Tuple&) const = default;
};

struct Tracked {
    Tuple original;  // from who began
    Tuple reply;     // as answers come, before they are translated back
};

void put_address(nlmsghdr* header, const Address& address, std::uint16_t v4, std::uint16_t v6) {
    const auto& bytes = address.bytes();
    if (address.is_v4())
        mnl_attr_put(header, v4, 4, bytes.data() + 12);
    else
        mnl_attr_put(header, v6, bytes.size(), bytes.data());
}

// Modules may be loaded while we run, as by the first container.
constexpr std::chrono::seconds kLookInterval{1};

bool exists(const char* path) { return access(path, F_OK) == 0; }

nlmsghdr* question_about(Transport transport, const Tuple& tuple, char* buffer) {
    nlmsghdr* header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
    header->nlmsg_flags = NLM_F_REQUEST;
    auto* body = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
    body->nfgen_family = tuple.source.address.is_v4() ? AF_INET : AF_INET6;
    body->version = NFNETLINK_V0;
    // Of either direction, whatever the attribute says (ctnetlink_get_conntrack in net/netfilter/).
    nlattr* whole = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
    nlattr* addresses = mnl_attr_nest_start(header, CTA_TUPLE_IP);
    put_address(header, tuple.source.address, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
    put_address(header, tuple.destination.address, CTA_IP_V4_DST, CTA_IP_V6_DST);
    mnl_attr_nest_end(header, addresses);
    nlattr* ports = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(header, CTA_PROTO_NUM, static_cast<std::uint8_t>(transport));
    mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(tuple.source.port));
    mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(tuple.destination.port));
    mnl_attr_nest_end(header, ports);
    mnl_attr_nest_end(header, whole);
    return header;
}

Address address_in(const nlattr* attribute) {
    const std::span bytes(static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute)),
                          mnl_attr_get_payload_len(attribute));
    if (bytes.size() == 4) return Address::v4(bytes.first<4>());
    if (bytes.size() == 16) return Address::v6(bytes.first<16>());
    return {};
}

int read_addresses(const nlattr* attribute, void* data) {
    auto& tuple = *static_cast<Tuple*>(data);
    const auto type = mnl_attr_get_type(attribute);
    if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC) tuple.source.address = address_in(attribute);
    if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST) tuple.destination.address = address_in(attribute);
    return MNL_CB_OK;
}

int read_ports(const nlattr* attribute, void* data) {
    auto& tuple = *static_cast<Tuple*>(data);
    const auto type = mnl_attr_get_type(attribute);
    if ((type != CTA_PROTO_SRC_PORT && type != CTA_PROTO_DST_PORT) || mnl_attr_validate(attribute, MNL_TYPE_U16) != 0)
        return MNL_CB_OK;
    (type == CTA_PROTO_SRC_PORT ? tuple.source : tuple.destination).port = ntohs(mnl_attr_get_u16(attribute));
    return MNL_CB_OK;
}

int read_tuple(const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == CTA_TUPLE_IP) mnl_attr_parse_nested(attribute, read_addresses, data);
    if (mnl_attr_get_type(attribute) == CTA_TUPLE_PROTO) mnl_attr_parse_nested(attribute, read_ports, data);
    return MNL_CB_OK;
}

int read_attribute(const nlattr* attribute, void* data) {
    auto& tracked = *static_cast<Tracked*>(data);
    if (mnl_attr_get_type(attribute) == CTA_TUPLE_ORIG) mnl_attr_parse_nested(attribute, read_tuple, &tracked.original);
    if (mnl_attr_get_type(attribute) == CTA_TUPLE_REPLY) mnl_attr_parse_nested(attribute, read_tuple, &tracked.reply);
    return MNL_CB_OK;
}

int read_answer(const nlmsghdr* header, void* data) {
    mnl_attr_parse(header, sizeof(nfgenmsg), read_attribute, &static_cast<std::optional<Tracked>*>(data)->emplace());
    return MNL_CB_STOP;
}

}  // namespace

Conntrack::Conntrack() : netlink_(open_netlink(NETLINK_NETFILTER)) {
    if (!netlink_) log_engine("conntrack: {}; connections count as not translated", errno_text(errno));
}

/// Whoever asks loads the modules that are to answer, and waits for that (nfnetlink_rcv_msg in
/// net/netfilter/nfnetlink.c): we do not ask where they are missing. Of what is built in there is no module to be seen.
bool Conntrack::is_loaded() {
    if (loaded_ || std::chrono::steady_clock::now() < look_again_) return loaded_;
    look_again_ = std::chrono::steady_clock::now() + kLookInterval;
    loaded_ = exists("/proc/sys/net/netfilter/nf_conntrack_count") &&
              (exists("/sys/module/nf_conntrack_netlink") || !exists("/sys/module/nf_conntrack/initstate"));
    return loaded_;
}

std::optional<Connection> Conntrack::untranslated(Transport transport, const Connection& on_the_wire) {
    if (!netlink_ || !is_loaded()) return std::nullopt;
    const Tuple coming{on_the_wire.remote, on_the_wire.local};
    std::array<char, 8192> buffer;
    nlmsghdr* question = question_about(transport, coming, buffer.data());
    question->nlmsg_seq = ++last_question_;
    std::optional<Tracked> tracked;
    const int error = ask_netlink(netlink_, buffer, question, read_answer, &tracked);
    if (error != 0 && error != ENOENT) {  // ENOENT: it tracks no such connection
        log_engine("conntrack: {}; connections count as not translated", errno_text(error));
        netlink_.reset();
    }
    if (!tracked) return std::nullopt;
    // One that this host began is answered so on the wire; one that began elsewhere came so.
    const Connection ends = coming == tracked->reply
                                ? Connection{tracked->original.source, tracked->original.destination}
                                : Connection{tracked->reply.source, tracked->reply.destination};
    if (ends == on_the_wire) return std::nullopt;
    return ends;
}

}  // namespace tracedump
