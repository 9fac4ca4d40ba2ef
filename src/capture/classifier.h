// Decides exactly: does this packet belong to the application? The kernel's filter has let it pass as one of a cheap
// superset; here it is held against the claims of sockets, at the time that the packet itself carries.
// Pure: runs on the capture thread, reads one snapshot, keeps no state.
#pragma once

#include "capture/packet.h"
#include "ports/port_set.h"

namespace tracedump {

/// Which end of a packet can be a local one: the sender's, the receiver's, or on the loopback either.
enum class Direction : std::uint8_t { incoming, outgoing, loopback };

/// From sockaddr_ll's sll_pkttype and sll_hatype (packet(7)).
Direction direction_of(std::uint8_t packet_type, std::uint16_t arphrd);

enum class Verdict : std::uint8_t { ours, foreign, undecided };

/// `undecided`: only a connect whose port is not known yet may own it; ask again with the next snapshot.
Verdict classify(const ParsedPacket& packet, Direction direction, Timestamp time, const PortSet& ports);

}  // namespace tracedump
