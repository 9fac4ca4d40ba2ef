#include "capture/classifier.h"

#include <linux/if_packet.h>
#include <net/if_arp.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>

namespace tracedump {

Direction direction_of(std::uint8_t packet_type, std::uint16_t arphrd) {
    if (arphrd == ARPHRD_LOOPBACK) return Direction::loopback;
    return packet_type == PACKET_OUTGOING ? Direction::outgoing : Direction::incoming;
}

std::size_t Classifier::Hash::operator()(const Connection& connection) const {
    const auto mix = [](std::uint64_t value) { return value * 0x9e3779b97f4a7c15ULL; };
    const std::uint64_t ports = static_cast<std::uint64_t>(connection.local.port) << 16 | connection.remote.port;
    return mix(mix(connection.local.address.low32() ^ ports << 32) ^ connection.remote.address.low32());
}

bool Classifier::is_successor(const Connection& ends, Timestamp time) const {
    if (time <= too_many_until_) return true;
    const auto known = successors_.find(ends);
    return known != successors_.end() && known->second <= time;
}

void Classifier::add_successor(const Connection& ends, Timestamp time) {
    if (successors_.size() >= kMaxSuccessors)
        std::erase_if(successors_, [&](const auto& entry) { return entry.second + kTcpAfterlife < time; });
    if (successors_.size() >= kMaxSuccessors) {
        successors_.clear();
        too_many_until_ = time + kTcpAfterlife;
    }
    const auto [known, is_new] = successors_.try_emplace(ends, time);
    if (!is_new) known->second = std::min(known->second, time);
}

/// Whether the claim's socket can have sent the packet, or be meant by it; but for its life.
bool Classifier::fits(const Claim& claim, const ParsedPacket& packet, Role role, const Connection& ends,
                      Timestamp time) {
    const SocketInfo& socket = claim.socket;
    const bool matches = role == Role::sender ? socket.sends(packet.transport, ends.local, ends.remote)
                                              : socket.accepts(packet.transport, ends.local, ends.remote);
    return matches && (socket.local.address == ends.local.address || addresses_.contains(ends.local.address, time));
}

/// The ends that its socket has, if they are others than those on the wire.
std::optional<Connection> Classifier::ends_of_socket(const ParsedPacket& packet, const Connection& ends,
                                                     Timestamp time) {
    auto& known = known_[packet.transport];
    const auto is_old = [time](Timestamp then) { return std::abs(time - then) > kKnownFor; };
    if (known.size() >= kMaxKnown && is_old(tidied_)) {
        std::erase_if(known, [&](const auto& entry) { return is_old(entry.second.asked); });
        tidied_ = time;
    }
    const auto entry = known.find(ends);
    if (entry == known.end() && known.size() >= kMaxKnown) return std::nullopt;
    // The next connection between these ends may be another socket's.
    if (entry != known.end() && !packet.opens_connection && !is_old(entry->second.asked)) return entry->second.ends;
    const auto answer = translations_.untranslated(packet.transport, ends);
    known.insert_or_assign(ends, Known{time, answer});
    return answer;
}

/// Is a packet between these two ends, of which the local one has this role, the application's, or could it be?
Verdict Classifier::judge(const ParsedPacket& packet, Role role, const Connection& ends, Timestamp time,
                          const PortSet& ports) {
    const Verdict verdict = judge_untranslated(packet, role, ends, time, ports);
    // What passes through by others' addresses is nobody's here.
    if (verdict != Verdict::foreign || !ports.contains(ends.local.port) ||
        !addresses_.contains(ends.local.address, time))
        return verdict;
    const auto of_socket = ends_of_socket(packet, ends, time);
    return of_socket ? judge_untranslated(packet, role, *of_socket, time, ports) : verdict;
}

Verdict Classifier::judge_untranslated(const ParsedPacket& packet, Role role, const Connection& ends, Timestamp time,
                                       const PortSet& ports) {
    bool in_afterlife = false;
    bool in_bind = false;
    for (const Claim& claim : ports.claims(ends.local.port)) {
        if (time < claim.birth || !fits(claim, packet, role, ends, time)) continue;
        const Timestamp end = role == Role::sender ? std::max(claim.death, claim.silence) : claim.death;
        if (time <= end && !claim.provisional) return Verdict::ours;
        in_afterlife |= claim.has_afterlife_at(time);
        in_bind |= claim.provisional;
    }
    // A dead socket's late packets, unless its addresses are in use again: that begins with a SYN.
    if (in_afterlife && !packet.opens_connection && !is_successor(ends, time)) return Verdict::ours;
    const auto& pending = ports.pending();
    if (in_bind || std::any_of(pending.begin(), pending.end(), [&](const PendingRemote& p) {
            return p.transport == packet.transport && p.opened <= time && p.remote == ends.remote;
        }))
        return Verdict::undecided;
    if (in_afterlife && packet.opens_connection) add_successor(ends, time);
    return Verdict::foreign;
}

/// An error that comes here quotes what a socket sent, who may have died since. One that we send quotes what has just
/// come for a socket.
Verdict Classifier::judge_error(const ParsedPacket& error, Direction direction, Timestamp time, const PortSet& ports) {
    const auto& [sender, receiver] = std::tie(error.source, error.destination);
    Verdict verdict = Verdict::foreign;
    if (direction != Direction::outgoing) {
        for (const Claim& claim : ports.claims(sender.port))
            if (claim.birth <= time && !claim.provisional && (claim.alive() || time - claim.death <= kErrorPatience) &&
                fits(claim, error, Role::sender, {sender, receiver}, time))
                return Verdict::ours;
        verdict = judge(error, Role::sender, {sender, receiver}, time, ports);
    }
    if (verdict != Verdict::ours && direction != Direction::incoming) {
        const Verdict other = judge(error, Role::receiver, {receiver, sender}, time, ports);
        if (other != Verdict::foreign) verdict = other;
    }
    return verdict;
}

Verdict Classifier::classify(const ParsedPacket& packet, Direction direction, Timestamp time, const PortSet& ports) {
    if (packet.kind == ParsedPacket::Kind::icmp_error)
        return icmp_errors_ ? judge_error(packet, direction, time, ports) : Verdict::foreign;
    if (packet.kind != ParsedPacket::Kind::ports) return Verdict::foreign;
    Verdict verdict = Verdict::foreign;
    if (direction != Direction::incoming)
        verdict = judge(packet, Role::sender, {packet.source, packet.destination}, time, ports);
    if (verdict != Verdict::ours && direction != Direction::outgoing) {
        const Verdict other = judge(packet, Role::receiver, {packet.destination, packet.source}, time, ports);
        if (other != Verdict::foreign) verdict = other;
    }
    return verdict;
}

}  // namespace tracedump
