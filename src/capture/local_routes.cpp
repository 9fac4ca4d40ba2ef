#include "capture/local_routes.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

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

constexpr int kAttempts = 5;  // to read a table that changes meanwhile

constexpr int kMappedBits = 96;  // in front of an IPv4 address

Address network_of(const Address& address, int length) {
    auto bytes = address.bytes();
    for (int bit = length; bit < 128; ++bit)
        bytes[static_cast<std::size_t>(bit / 8)] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
    return Address::v6(bytes);
}

int read_attribute(const nlattr* attribute, void* data) {
    auto& bytes = *static_cast<std::array<std::uint8_t, 16>*>(data);
    if (mnl_attr_get_type(attribute) == RTA_DST)
        std::memcpy(bytes.data(), mnl_attr_get_payload(attribute),
                    std::min<std::size_t>(bytes.size(), mnl_attr_get_payload_len(attribute)));
    return MNL_CB_OK;
}

/// A message about a route of one of our kinds; the route's destination.
std::optional<std::pair<int, Address>> destination_of(const nlmsghdr* header) {
    if (header->nlmsg_type != RTM_NEWROUTE && header->nlmsg_type != RTM_DELROUTE) return std::nullopt;
    if (mnl_nlmsg_get_payload_len(header) < sizeof(rtmsg)) return std::nullopt;
    const auto& route = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(header));
    if ((route.rtm_flags & RTM_F_CLONED) != 0 || std::none_of(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) {
            return k.family == route.rtm_family && k.type == route.rtm_type;
        }))
        return std::nullopt;
    std::array<std::uint8_t, 16> bytes{};  // none for 0.0.0.0/0 or ::/0
    mnl_attr_parse(header, sizeof route, read_attribute, &bytes);
    if (route.rtm_family == AF_INET6) return std::pair(int{route.rtm_dst_len}, Address::v6(bytes));
    return std::pair(kMappedBits + route.rtm_dst_len, Address::v4(std::span<const std::uint8_t>(bytes).first<4>()));
}

/// An error that says: this kernel has no such family. Nor does anyone have an address of it then.
bool lacks_family(const nlmsghdr* header) {
    if (mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr)) return false;
    errno = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error;
    return errno == EOPNOTSUPP || errno == EAFNOSUPPORT;
}

struct Change {
    std::pair<int, Address> prefix;
    bool gone = false;
};

int notice(const nlmsghdr* header, void* data) {
    if (const auto prefix = destination_of(header))
        static_cast<std::vector<Change>*>(data)->push_back({*prefix, header->nlmsg_type == RTM_DELROUTE});
    return MNL_CB_OK;
}

}  // namespace

LocalRoutes::LocalRoutes()
    : changes_(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK), mnl_socket_close),
      questions_(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC), mnl_socket_close) {
    if (!changes_ || !questions_ ||
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
}

bool LocalRoutes::contains(const Address& address, Timestamp time) {
    if (!changes_ || (address == last_ && time <= last_until_)) return true;
    // To a group anyone may listen; and a host that has no address yet sends from the wildcard (RFC 2131, 4.1).
    if (address.is_group() || address.is_wildcard() || covers(address, time)) return true;
    if (time <= known_until_) return !known_;
    const Timestamp now = realtime_now();
    if (!hear_of_changes() || !known_) ask_for_all();
    known_until_ = now;
    return !known_ || covers(address, time);
}

bool LocalRoutes::covers(const Address& address, Timestamp time) {
    // From the longest prefixes on: there are few lengths.
    for (auto route = routes_.rbegin(); route != routes_.rend();) {
        const int length = route->first.first;
        const auto found = routes_.find({length, network_of(address, length)});
        if (found != routes_.end() && time <= found->second) {
            last_ = address;
            last_until_ = found->second;
            return true;
        }
        route = std::make_reverse_iterator(routes_.lower_bound({length, Address()}));
    }
    return false;
}

/// Whether they tell what there is now. What has come and gone since the last look was there for some packets.
bool LocalRoutes::hear_of_changes() {
    bool complete = true;
    std::vector<Change> changes;
    std::array<char, 8192> buffer;
    for (;;) {
        const ssize_t length = recv(mnl_socket_get_fd(changes_.get()), buffer.data(), buffer.size(), 0);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0 && errno == ENOBUFS) {  // netlink(7): messages were dropped
            complete = false;
            continue;
        }
        if (length <= 0) break;
        mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), 0, 0, notice, &changes);
    }
    const Timestamp now = realtime_now();
    for (const Change& change : changes) {
        routes_.insert_or_assign(change.prefix, change.gone ? now : kNever);
        complete = complete && !change.gone;  // another device may have it too
    }
    if (!changes.empty()) last_until_ = kAlways;
    return complete;
}

void LocalRoutes::ask_for_all() {
    std::set<Prefix> there;
    for (const Kind& kind : kKinds) {
        const auto routes = list(kind.family, kind.type);
        if (!routes && known_) log_engine("local routes: {}; all addresses count as the host's", errno_text(errno));
        known_ = routes.has_value();
        if (!known_) return;
        there.insert(routes->begin(), routes->end());
    }
    const Timestamp now = realtime_now();
    std::erase_if(routes_, [&](const auto& route) { return route.second < now - kMemory; });
    for (auto& [prefix, until] : routes_)
        if (until == kNever && !there.contains(prefix)) until = now;
    for (const Prefix& prefix : there) routes_.insert_or_assign(prefix, kNever);
    last_until_ = kAlways;
}

/// Nothing if the kernel refuses.
std::optional<std::vector<LocalRoutes::Prefix>> LocalRoutes::list(int family, int type) {
    std::array<char, 32768> buffer;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        nlmsghdr* question = mnl_nlmsg_put_header(buffer.data());
        question->nlmsg_type = RTM_GETROUTE;
        question->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(question, sizeof(rtmsg)));
        route->rtm_family = static_cast<unsigned char>(family);
        route->rtm_type = static_cast<unsigned char>(type);
        if (mnl_socket_sendto(questions_.get(), question, question->nlmsg_len) < 0) return std::nullopt;
        std::vector<Prefix> found;
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
                if (const auto prefix = destination_of(message)) found.push_back(*prefix);
            }
        }
        if (!changed_meanwhile) return found;
    }
    errno = EAGAIN;
    return std::nullopt;
}

}  // namespace tracedump
