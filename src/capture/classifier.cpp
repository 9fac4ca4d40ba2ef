#include "capture/classifier.h"

#include <linux/if_packet.h>
#include <net/if_arp.h>

#include <algorithm>

namespace tracedump {

namespace {

/// Is a packet between these two ends the application's, or could it be?
Verdict judge(Transport transport, const Endpoint& local, const Endpoint& remote, Timestamp time,
              const PortSet& ports) {
    const auto claims = ports.claims(local.port);
    if (std::any_of(claims.begin(), claims.end(), [&](const Claim& claim) {
            return claim.birth <= time && time <= claim.death && claim.socket.accepts(transport, local, remote);
        }))
        return Verdict::ours;
    const auto& pending = ports.pending();
    if (std::any_of(pending.begin(), pending.end(), [&](const PendingRemote& p) {
            return p.transport == transport && p.opened <= time && p.remote == remote;
        }))
        return Verdict::undecided;
    return Verdict::foreign;
}

}  // namespace

Direction direction_of(std::uint8_t packet_type, std::uint16_t arphrd) {
    if (arphrd == ARPHRD_LOOPBACK) return Direction::loopback;
    return packet_type == PACKET_OUTGOING ? Direction::outgoing : Direction::incoming;
}

Verdict classify(const ParsedPacket& packet, Direction direction, Timestamp time, const PortSet& ports) {
    if (packet.kind != ParsedPacket::Kind::ports) return Verdict::foreign;
    Verdict verdict = Verdict::foreign;
    if (direction != Direction::incoming)
        verdict = judge(packet.transport, packet.source, packet.destination, time, ports);
    if (verdict != Verdict::ours && direction != Direction::outgoing) {
        const Verdict other = judge(packet.transport, packet.destination, packet.source, time, ports);
        if (other != Verdict::foreign) verdict = other;
    }
    return verdict;
}

}  // namespace tracedump
