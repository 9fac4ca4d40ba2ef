#include "gc/collector.h"

#include <algorithm>
#include <map>
#include <set>

namespace tracedump {

namespace {

// A claim is made before the system call that gives the kernel's table its socket has run; a tracee may take a while
// to get its CPU back. Younger claims are left alone by a sweep.
constexpr Timestamp kTooYoungToSweep = 2 * kNanosPerSecond;

/// What is in TIME_WAIT is what a dead socket leaves behind: a note of its addresses.
bool is_alive(const SocketRow& row) { return row.transport != Transport::tcp || row.state != SocketState::time_wait; }

bool is_row_of(const SocketRow& row, const SocketInfo& socket) {
    if (row.cookie != 0) return row.cookie == socket.cookie;
    // /proc/net has no cookies: take any socket that the claim would accept the packets of.
    if (row.transport != socket.transport || row.local.port != socket.local.port) return false;
    return !socket.remote || row.remote == *socket.remote;
}

std::map<Transport, std::set<std::uint16_t>> ports_of(std::span<const Claim> claims) {
    std::map<Transport, std::set<std::uint16_t>> ports;
    for (const Claim& claim : claims) ports[claim.socket.transport].insert(claim.socket.local.port);
    return ports;
}

Families families_of(const SocketRow& row) {
    if (row.local.address.is_v4()) return Families::v4;
    return row.local.address.is_wildcard() && !row.only_v6 ? Families::both : Families::v6;
}

SocketInfo socket_of(const SocketRow& row) {
    const bool has_peer = row.transport == Transport::tcp && row.connected();
    return {row.cookie, row.transport, families_of(row), row.local,
            has_peer ? std::optional(row.remote) : std::nullopt};
}

}  // namespace

void Collector::sockets_died(std::span<const SocketRow> dead, Timestamp now) {
    std::vector<SocketCookie> gone;
    for (const SocketRow& row : dead) {
        const auto claim = registry_.find(row.cookie);
        if (claim && claim->socket.transport == Transport::tcp && !claim->socket.remote) adopt_accepted(*claim);
        // One that was released is alive no more, but not gone either.
        if (claim || row.transport == Transport::udp) gone.push_back(row.cookie);
    }
    if (!gone.empty()) registry_.retire(gone, now);
}

void Collector::adopt_accepted(const Claim& listener) {
    const auto rows = table_.list(listener.socket.transport, std::span(&listener.socket.local.port, 1));
    if (!rows) return;
    std::vector<SocketInfo> accepted;
    for (const SocketRow& row : *rows) {
        if (!is_alive(row) || !row.connected() || row.cookie == 0) continue;
        if (!listener.socket.accepts(row.transport, row.local, row.remote)) continue;
        accepted.push_back({row.cookie, row.transport, listener.socket.families, row.local, row.remote, true});
    }
    if (!accepted.empty()) registry_.claim(accepted, listener.birth);
}

/// What the table has on the ports of these claims: on a busy host most sockets are strangers' on other ports.
std::optional<std::vector<SocketRow>> Collector::rows_of(std::span<const Claim> claims) {
    std::vector<SocketRow> all;
    for (const auto& [transport, ports] : ports_of(claims)) {
        const auto rows = table_.list(transport, std::vector(ports.begin(), ports.end()));
        if (!rows) return std::nullopt;
        all.insert(all.end(), rows->begin(), rows->end());
    }
    return all;
}

void Collector::sweep(const std::function<Timestamp()>& clock) {
    const Timestamp began = clock();
    const auto claims = registry_.living();
    const auto rows = rows_of(claims);
    if (!rows) return;
    const Timestamp ended = clock();
    std::unordered_set<SocketCookie> cookies;
    bool has_cookies = true;
    for (const SocketRow& row : *rows) {
        has_cookies = has_cookies && row.cookie != 0;
        if (is_alive(row)) cookies.insert(row.cookie);
    }

    std::vector<SocketCookie> gone;
    std::unordered_set<SocketCookie> listed;
    for (const Claim& claim : claims) {
        const SocketInfo& socket = claim.socket;
        const bool found = has_cookies ? cookies.contains(listed_cookie(socket, *rows))
                                       : std::any_of(rows->begin(), rows->end(), [&](const SocketRow& row) {
                                             return is_alive(row) && is_row_of(row, socket);
                                         });
        if (found) {
            listed.insert(socket.cookie);
            continue;
        }
        // Kernels before 6.8 do not list a TCP socket that is bound, but neither listens nor is connected: its being
        // missing says nothing until it has been there once.
        const bool may_be_unlisted = socket.transport == Transport::tcp && !socket.remote;
        const bool was_known = listed_.contains(socket.cookie);
        const bool old_enough = claim.birth < began - kTooYoungToSweep;
        if (!was_known && (may_be_unlisted || !old_enough)) continue;
        if (may_be_unlisted) adopt_accepted(claim);
        gone.push_back(socket.cookie);
    }
    std::erase_if(flows_, [&](const auto& flow) { return !listed.contains(flow.first); });
    listed_ = std::move(listed);
    if (!gone.empty()) registry_.retire(gone, ended);
    if (flows_expected_ || multipath()) adopt_flows();
}

/// The cookie under which the table has this socket. A Multipath TCP socket's flow is found by its ends the first
/// time; later a stranger may have them, but not the cookie.
SocketCookie Collector::listed_cookie(const SocketInfo& socket, std::span<const SocketRow> rows) {
    if (!socket.multipath) return socket.cookie;
    const auto known = flows_.find(socket.cookie);
    if (known != flows_.end() && known->second.of == socket) return known->second.cookie;
    const auto flow = std::find_if(rows.begin(), rows.end(), [&](const SocketRow& row) {
        return is_alive(row) && row.transport == Transport::tcp && row.local == socket.local &&
               (socket.remote ? row.remote == *socket.remote : !row.connected());
    });
    if (flow == rows.end()) return socket.cookie;
    flows_.insert_or_assign(socket.cookie, Flow{socket, flow->cookie});
    return flow->cookie;
}

/// First on our ports, where the kernel passes over the strangers: only to have connections is worth a walk through
/// all.
void Collector::adopt_flows() {
    const auto ports = registry_.snapshot().load();
    const auto claim_on = [&](const SocketRow& row) -> const Claim* {
        for (const Claim& claim : ports->claims(row.local.port))
            if (claim.alive() && claim.socket.accepts(row.transport, row.local, row.remote)) return &claim;
        return nullptr;
    };
    std::unordered_map<std::uint32_t, Timestamp> births;  // of the application's connections, by token
    const auto ours = ports_of(registry_.living())[Transport::tcp];
    for (const SocketRow& row : table_.list_flows(std::vector(ours.begin(), ours.end())))
        if (const Claim* claim = claim_on(row)) births.emplace(row.token, claim->birth);
    connections_ = !births.empty();
    if (!connections_) return;
    for (const SocketRow& row : table_.list_all_flows()) {
        const auto connection = births.find(row.token);
        if (connection == births.end() || claim_on(row)) continue;
        registry_.claim(socket_of(row), connection->second);
    }
}

std::vector<std::uint64_t> Collector::adopt(const std::unordered_set<std::uint64_t>& inodes, Timestamp now) {
    const auto rows = table_.list_all();
    if (!rows) return {};
    std::vector<std::uint64_t> found;
    std::vector<SocketInfo> sockets;
    for (const SocketRow& row : *rows) {
        const bool tcp = row.transport == Transport::tcp;
        if (row.cookie == 0 || !inodes.contains(row.inode)) continue;
        if (tcp && !row.connected() && row.state != SocketState::listening) continue;
        found.push_back(row.inode);
        if (registry_.find(row.cookie)) continue;
        sockets.push_back(socket_of(row));
        sockets.back().bound = true;  // as far as anyone can tell now
    }
    if (!sockets.empty()) registry_.claim(sockets, now);
    return found;
}

bool Collector::tail_settled() {
    const auto rows = table_.list_closing();
    if (rows.empty()) return true;
    const auto ports = registry_.snapshot().load();
    return std::none_of(rows.begin(), rows.end(), [&](const SocketRow& row) {
        const auto claims = ports->claims(row.local.port);
        return std::any_of(claims.begin(), claims.end(), [&](const Claim& claim) {
            return claim.socket.accepts(row.transport, row.local, row.remote);
        });
    });
}

}  // namespace tracedump
