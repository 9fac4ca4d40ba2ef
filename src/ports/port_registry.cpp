#include "ports/port_registry.h"

#include <algorithm>
#include <tuple>

#include "util/log.h"

namespace tracedump {

PortRegistry::PortRegistry(std::shared_ptr<PortFilter> filter, Timestamp memory)
    : filter_(filter ? std::move(filter) : std::make_shared<PortFilter>()), memory_(memory) {}

void PortRegistry::publish_locked() {
    filter_->enforce(current_);
    snapshot_.publish();
    tell_changes_locked();
}

void PortRegistry::tell_changes_locked() {
    for (const std::string& change : changes_) log_port("{}", change);
    changes_.clear();
}

void PortRegistry::kill_locked(const Claim& claim, Timestamp death) {
    if (logs_ports()) changes_.push_back(to_text(claim.socket) + " closed");
    const auto& [cookie, transport, port] =
        std::tie(claim.socket.cookie, claim.socket.transport, claim.socket.local.port);
    current_.kill(port, cookie, death);
    (transport == Transport::tcp ? dead_tcp_ : dead_).push_back({death, death, transport, port, cookie});
}

/// The released ones on that port of which `is_over` says so send nothing after `silence`.
template <typename IsOver>
bool PortRegistry::silence_where(std::uint16_t port, Timestamp silence, IsOver is_over) {
    if (released_.empty()) return false;
    std::vector<Claim> over;
    for (const Claim& claim : current_.claims(port))
        if (!claim.alive() && claim.silence == kNever && is_over(claim.socket)) over.push_back(claim);
    for (const Claim& claim : over) silence_locked(claim.socket.cookie, std::max(silence, claim.death));
    return !over.empty();
}

bool PortRegistry::claim_locked(SocketInfo socket, Timestamp birth) {
    const auto known = sockets_.find(socket.cookie);
    if (known != sockets_.end()) {
        Claim& old = known->second;
        const bool same_port = old.socket.local.port == socket.local.port && old.socket.transport == socket.transport;
        const bool other_peer = old.socket.remote && old.socket.remote != socket.remote;
        if (same_port) socket.bound |= old.socket.bound;
        if (same_port && !other_peer) {
            // One life, now known better: bind, then connect or listen; or a window that reaches further back than
            // what was learned of its socket meanwhile.
            const Claim better{socket, std::min(birth, old.birth), kNever};
            if (better == old) return false;
            old = better;
            current_.replace_living(socket.local.port, socket.cookie, old);
            return true;
        }
        kill_locked(old, birth);
        sockets_.erase(known);
        if (socket.local.port == 0) return true;
    } else {
        if (socket.local.port == 0) return false;
        ++totals_.sockets;
    }
    const Claim claim{socket, birth, kNever};
    silence_where(socket.local.port, birth, [&](const SocketInfo& before) {
        return before.transport != Transport::tcp && before.transport == socket.transport &&
               before.local == socket.local && before.families == socket.families;
    });
    filter_->admit(socket.transport, socket.local.port);
    if (logs_ports()) changes_.push_back(to_text(socket) + " opened");
    sockets_.emplace(socket.cookie, claim);
    current_.insert(claim);
    auto& ports = ports_ever_[socket.transport];
    if (!ports[socket.local.port]) {
        ports[socket.local.port] = true;
        ++totals_.ports;
    }
    return true;
}

void PortRegistry::note_found_locked(const SocketInfo& socket) {
    if (socket.transport == Transport::tcp) found_tcp_ = true;
}

void PortRegistry::claim(std::span<const SocketInfo> sockets, Timestamp birth) {
    std::lock_guard lock(mutex_);
    bool changed = false;
    for (const SocketInfo& socket : sockets) {
        note_found_locked(socket);
        changed |= claim_locked(socket, birth);
    }
    if (changed) publish_locked();
}

std::uint64_t PortRegistry::open_window(SocketCookie cookie, Transport transport, const Endpoint& remote,
                                        Timestamp opened) {
    std::lock_guard lock(mutex_);
    const std::uint64_t window = ++last_window_;
    filter_->admit(remote);
    current_.add_pending({window, cookie, transport, remote, opened});
    publish_locked();
    return window;
}

std::uint64_t PortRegistry::open_bind_window(const SocketInfo& socket, Timestamp opened) {
    std::lock_guard lock(mutex_);
    const std::uint64_t window = ++last_window_;
    const Claim claim{socket, opened, kNever, true};
    filter_->admit(socket.transport, socket.local.port);
    binds_.emplace(window, claim);
    current_.insert(claim);
    publish_locked();
    return window;
}

void PortRegistry::close_window(std::uint64_t window, const std::optional<SocketInfo>& socket) {
    std::lock_guard lock(mutex_);
    if (const auto bind = binds_.find(window); bind != binds_.end()) {
        const Claim was = bind->second;
        binds_.erase(bind);
        current_.withdraw(was.socket.local.port, was.socket.cookie);
        if (socket) claim_locked(*socket, was.birth);
        filter_->dismiss(was.socket.transport, was.socket.local.port);
    } else {
        const auto& pending = current_.pending();
        const auto open =
            std::find_if(pending.begin(), pending.end(), [&](const auto& p) { return p.window == window; });
        if (open == pending.end()) return;
        const PendingRemote was = *open;
        current_.remove_pending(window);
        if (socket) claim_locked(*socket, was.opened);
        filter_->dismiss(was.remote);  // now that its port passes
    }
    publish_locked();
}

void PortRegistry::retire(std::span<const SocketCookie> cookies, Timestamp death) {
    std::lock_guard lock(mutex_);
    bool changed = false;
    for (const SocketCookie cookie : cookies) changed |= retire_locked(cookie, death);
    if (changed) publish_locked();
}

bool PortRegistry::retire_locked(SocketCookie cookie, Timestamp death) {
    const bool was_released = silence_locked(cookie, death);
    const auto known = sockets_.find(cookie);
    if (known == sockets_.end()) return was_released;
    kill_locked(known->second, death);
    sockets_.erase(known);
    return true;
}

/// A socket may end twice: when it is closed, or refused, and when nothing of it waits to be sent any more.
bool PortRegistry::release_locked(SocketCookie cookie, Timestamp death) {
    const auto known = sockets_.find(cookie);
    if (known == sockets_.end()) return false;
    silence_locked(cookie, death);  // of a connection before
    Claim claim = known->second;
    // Of UDP there is one for each port and address; connects to nowhere may be many.
    if (claim.socket.transport == Transport::tcp && released_.size() >= kMaxAfterlives)
        return retire_locked(cookie, death);
    if (logs_ports()) changes_.push_back(to_text(claim.socket) + " closed");
    current_.release(claim.socket.local.port, cookie, death);
    claim.death = death;
    released_.emplace(cookie, claim);
    sockets_.erase(known);
    return true;
}

/// Whoever may have had their address is the one that sends from there.
bool PortRegistry::succeed_locked(const SocketInfo& successor, Timestamp time) {
    return silence_where(successor.local.port, time, [&](const SocketInfo& before) {
        const Address &one = before.local.address, &other = successor.local.address;
        return before.transport != Transport::tcp && before.transport == successor.transport &&
               (one == other || one.is_wildcard() || other.is_wildcard());
    });
}

/// If it was released, it sends nothing after `silence`.
bool PortRegistry::silence_locked(SocketCookie cookie, Timestamp silence) {
    const auto released = released_.find(cookie);
    if (released == released_.end()) return false;
    bury_locked(released->second, silence);
    released_.erase(released);
    return true;
}

void PortRegistry::bury_locked(const Claim& released, Timestamp silence) {
    const auto& [cookie, transport, port] =
        std::tie(released.socket.cookie, released.socket.transport, released.socket.local.port);
    current_.silence(port, cookie, silence);
    (transport == Transport::tcp ? dead_tcp_ : dead_)
        .push_back({std::max(silence, released.death), released.death, transport, port, cookie});
}

void PortRegistry::update(std::span<const SocketChange> changes) {
    std::lock_guard lock(mutex_);
    bool changed = false;
    for (const SocketChange& change : changes) switch (change.kind) {
            case SocketChange::Kind::found:
                note_found_locked(change.socket);
                [[fallthrough]];
            case SocketChange::Kind::claimed:
                changed |= claim_locked(change.socket, change.time);
                break;
            case SocketChange::Kind::finished:
                changed |= retire_locked(change.socket.cookie, change.time);
                break;
            case SocketChange::Kind::released:
                changed |= release_locked(change.socket.cookie, change.time);
                break;
            case SocketChange::Kind::succeeded:
                changed |= succeed_locked(change.socket, change.time);
                break;
        }
    if (changed) publish_locked();
}

void PortRegistry::forget_dead(Timestamp time) {
    std::lock_guard lock(mutex_);
    bool changed = false;
    const auto forget = [&](Graveyard& graves, Timestamp memory) {
        while (!graves.empty() && graves.front().silence < time &&
               (graves.front().silence < time - memory || graves.size() > kMaxAfterlives)) {
            const Dead& oldest = graves.front();
            current_.forget_dead(oldest.port, oldest.cookie, oldest.death);
            filter_->dismiss(oldest.transport, oldest.port);
            graves.pop_front();
            changed = true;
        }
    };
    // Whose second end was not heard of.
    changed |= std::erase_if(released_, [&](const auto& entry) {
                   const bool old = entry.second.death < time - kNeighbourPatience;
                   if (old) bury_locked(entry.second, entry.second.death);
                   return old;
               }) != 0;
    forget(dead_, memory_);
    forget(dead_tcp_, kTcpAfterlife);
    if (changed) publish_locked();
}

std::optional<Claim> PortRegistry::find(SocketCookie cookie) const {
    std::lock_guard lock(mutex_);
    const auto known = sockets_.find(cookie);
    if (known == sockets_.end()) return std::nullopt;
    return known->second;
}

bool PortRegistry::has_twin(const SocketInfo& socket) const {
    std::lock_guard lock(mutex_);
    const auto claims = current_.claims(socket.local.port);
    return std::any_of(claims.begin(), claims.end(), [&](const Claim& claim) {
        return claim.alive() && claim.socket.transport == socket.transport && claim.socket.local == socket.local &&
               claim.socket.remote == socket.remote;
    });
}

bool PortRegistry::idle() const {
    std::lock_guard lock(mutex_);
    return sockets_.empty() && current_.pending().empty() && binds_.empty();
}

std::vector<Claim> PortRegistry::living() const {
    std::lock_guard lock(mutex_);
    std::vector<Claim> claims;
    claims.reserve(sockets_.size());
    for (const auto& [cookie, claim] : sockets_) claims.push_back(claim);
    return claims;
}

PortRegistry::Totals PortRegistry::totals() const {
    std::lock_guard lock(mutex_);
    Totals totals = totals_;
    totals.living = sockets_.size();
    return totals;
}

}  // namespace tracedump
