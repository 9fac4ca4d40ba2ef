#include "capture/local_routes.h"

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

#include "util/error.h"
#include "util/log.h"

namespace tracedump {

namespace {

struct Kind {
    int family;
    int type;
};
constexpr Kind kKinds[] = {
    {AF_INET, RTN_LOCAL}, {AF_INET, RTN_BROADCAST}, {AF_INET6, RTN_LOCAL}, {AF_INET6, RTN_ANYCAST}};

// How long a route that is gone is kept: longer than any packet waits to be judged.
constexpr Timestamp kMemory = 60 * kNanosPerSecond;

// A packet that is so much older than what was heard last is not old: the clock was set back.
constexpr Timestamp kClockStep = 30 * kNanosPerSecond;

constexpr int kAttempts = 5;  // to read a table that changes meanwhile

constexpr int kMappedBits = 96;  // in front of an IPv4 address

Address network_of(const Address& address, int length) {
    auto bytes = address.bytes();
    for (int bit = length; bit < 128; ++bit)
        bytes[static_cast<std::size_t>(bit / 8)] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
    return Address::v6(bytes);
}

struct Attributes {
    std::array<std::uint8_t, 16> destination{};  // none for 0.0.0.0/0 or ::/0
    std::uint32_t table = 0, device = 0, metric = 0, source = 0;
};

int read_attribute(const nlattr* attribute, void* data) {
    auto& attributes = *static_cast<Attributes*>(data);
    const auto number = [&](std::uint32_t& into) {
        if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0) into = mnl_attr_get_u32(attribute);
    };
    switch (mnl_attr_get_type(attribute)) {
        case RTA_DST:
            std::memcpy(attributes.destination.data(), mnl_attr_get_payload(attribute),
                        std::min<std::size_t>(attributes.destination.size(), mnl_attr_get_payload_len(attribute)));
            break;
        case RTA_TABLE:
            number(attributes.table);
            break;
        case RTA_OIF:
            number(attributes.device);
            break;
        case RTA_PRIORITY:
            number(attributes.metric);
            break;
        case RTA_PREFSRC:
            number(attributes.source);
            break;
        default:
            break;
    }
    return MNL_CB_OK;
}

/// An error that says: this kernel has no such family. Nor does anyone have an address of it then.
bool lacks_family(const nlmsghdr* header) {
    if (mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr)) return false;
    errno = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error;
    return errno == EOPNOTSUPP || errno == EAFNOSUPPORT;
}

/// A router's other routes may change a thousand times a second. Netlink messages are filtered as packets are.
bool listen_to_our_kinds(int socket) {
    constexpr std::uint32_t kTypeAt = sizeof(nlmsghdr) + offsetof(rtmsg, rtm_type);
    static_assert(RTN_BROADCAST == RTN_LOCAL + 1 && RTN_ANYCAST == RTN_LOCAL + 2);
    sock_filter instructions[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kTypeAt),
                                  BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, RTN_LOCAL, 0, 2),
                                  BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, RTN_ANYCAST, 1, 0),
                                  BPF_STMT(BPF_RET | BPF_K, UINT32_MAX), BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog program{std::size(instructions), instructions};
    return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

}  // namespace

/// If the message is about one of our kinds.
std::optional<LocalRoutes::Route> LocalRoutes::route_in(const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWROUTE && message->nlmsg_type != RTM_DELROUTE) return std::nullopt;
    if (mnl_nlmsg_get_payload_len(message) < sizeof(rtmsg)) return std::nullopt;
    const auto& route = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
    if ((route.rtm_flags & RTM_F_CLONED) != 0 || std::none_of(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) {
            return k.family == route.rtm_family && k.type == route.rtm_type;
        }))
        return std::nullopt;
    Attributes attributes;
    mnl_attr_parse(message, sizeof route, read_attribute, &attributes);
    const std::span<const std::uint8_t, 16> bytes(attributes.destination);
    const Prefix prefix = route.rtm_family == AF_INET
                              ? Prefix(kMappedBits + route.rtm_dst_len, Address::v4(bytes.first<4>()))
                              : Prefix(route.rtm_dst_len, Address::v6(bytes));
    return Route{prefix, {attributes.table, attributes.device, attributes.metric, attributes.source}};
}

LocalRoutes::LocalRoutes()
    : changes_(open_netlink(NETLINK_ROUTE, SOCK_NONBLOCK)), questions_(open_netlink(NETLINK_ROUTE)) {
    if (!changes_ || !questions_ || !listen_to_our_kinds(mnl_socket_get_fd(changes_.get())) ||
        mnl_socket_bind(changes_.get(), RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE, MNL_SOCKET_AUTOPID) != 0 ||
        mnl_socket_bind(questions_.get(), 0, MNL_SOCKET_AUTOPID) != 0) {
        log_engine("local routes: {}; all addresses count as the host's", errno_text(errno));
        changes_.reset();
        return;
    }
    // With it, and since Linux 4.20, the kernel looks for the type that we ask for (ip_valid_fib_dump_req in
    // net/ipv4/fib_frontend.c); else we do.
    int strictly = 1;
    mnl_socket_setsockopt(questions_.get(), NETLINK_GET_STRICT_CHK, &strictly, sizeof strictly);
    ask_for_all();
}

bool LocalRoutes::contains(const Address& address, Timestamp time) {
    // To a group anyone may listen; and a host that has no address yet sends from the wildcard (RFC 2131, 4.1).
    if (!changes_ || address.is_group() || address.is_wildcard()) return true;
    if (time > heard_until_ || time < heard_until_ - kClockStep) hear();
    return !known_ || address == last_ || covers(address, time);
}

bool LocalRoutes::covers(const Address& address, Timestamp time) {
    // From the longest prefixes on: there are few lengths.
    for (auto prefix = prefixes_.rbegin(); prefix != prefixes_.rend();) {
        const int length = prefix->first.first;
        const auto found = prefixes_.find({length, network_of(address, length)});
        if (found != prefixes_.end() && found->second.holds(time)) {
            if (!found->second.routes.empty()) last_ = address;
            return true;
        }
        prefix = std::make_reverse_iterator(prefixes_.lower_bound({length, Address()}));
    }
    return false;
}

int LocalRoutes::notice(const nlmsghdr* message, void* self) {
    auto& routes = *static_cast<LocalRoutes*>(self);
    const auto route = route_in(message);
    if (!route) return MNL_CB_OK;
    routes.last_.reset();
    if (message->nlmsg_type == RTM_NEWROUTE)
        routes.prefixes_[route->prefix].routes.insert(route->id);
    else
        routes.remove(*route, realtime_now());
    return MNL_CB_OK;
}

/// It has been there up to now, whether or not we have heard of that.
void LocalRoutes::remove(const Route& route, Timestamp now) {
    Known& known = prefixes_[route.prefix];
    known.routes.erase(route.id);
    known.until = now;
    if (known.routes.empty()) log_engine("local routes: {} is gone", to_text(Endpoint{route.prefix.second, 0}));
}

int LocalRoutes::fd() const { return changes_ ? mnl_socket_get_fd(changes_.get()) : -1; }

void LocalRoutes::hear() {
    if (!changes_) return;
    heard_until_ = realtime_now();
    bool any = false, complete = true;
    std::array<char, 8192> buffer;
    for (;;) {
        const ssize_t length = recv(fd(), buffer.data(), buffer.size(), 0);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0 && errno == ENOBUFS) {  // netlink(7): messages were dropped
            complete = false;
            continue;
        }
        if (length <= 0) break;
        any = true;
        mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), 0, 0, notice, this);
    }
    if (!complete) ask_for_all();
    if (!any) return;
    const Timestamp old = realtime_now() - kMemory;
    std::erase_if(prefixes_, [&](const auto& entry) { return !entry.second.holds(old); });
}

void LocalRoutes::ask_for_all() {
    std::map<Prefix, std::set<RouteId>> there;
    for (const Kind& kind : kKinds) {
        const auto routes = list(kind.family, kind.type);
        if (!routes && !std::exchange(refusal_told_, true))
            log_engine("local routes: {}; all addresses count as the host's", errno_text(errno));
        known_ = routes.has_value();
        if (!known_) return;
        for (const Route& route : *routes) there[route.prefix].insert(route.id);
    }
    const Timestamp now = realtime_now();
    for (auto& [prefix, known] : prefixes_)
        if (!known.routes.empty() && !there.contains(prefix)) known = {{}, now};
    for (auto& [prefix, ids] : there) prefixes_[prefix].routes = std::move(ids);
    last_.reset();
}

/// Nothing if the kernel refuses.
std::optional<std::vector<LocalRoutes::Route>> LocalRoutes::list(int family, int type) {
    std::array<char, 32768> buffer;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        nlmsghdr* question = mnl_nlmsg_put_header(buffer.data());
        question->nlmsg_type = RTM_GETROUTE;
        question->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        auto* wanted = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(question, sizeof(rtmsg)));
        wanted->rtm_family = static_cast<unsigned char>(family);
        wanted->rtm_type = static_cast<unsigned char>(type);
        if (mnl_socket_sendto(questions_.get(), question, question->nlmsg_len) < 0) return std::nullopt;
        std::vector<Route> found;
        bool changed_meanwhile = false;
        for (bool done = false; !done;) {
            const ssize_t length = mnl_socket_recvfrom(questions_.get(), buffer.data(), buffer.size());
            if (length < 0) return std::nullopt;
            int left = static_cast<int>(length);
            for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(message, left);
                 message = mnl_nlmsg_next(message, &left)) {
                changed_meanwhile |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
                done |= message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR;
                if (message->nlmsg_type == NLMSG_ERROR && !lacks_family(message)) return std::nullopt;
                if (const auto route = route_in(message)) found.push_back(*route);
            }
        }
        if (!changed_meanwhile) return found;
    }
    errno = EAGAIN;
    return std::nullopt;
}

}  // namespace tracedump
