// Decides exactly: does this packet belong to the application? The kernel's filter has let it pass as one of a cheap
// superset; here it is held against the claims of sockets, at the time that the packet itself carries.
// Reads one snapshot at a time; keeps only which addresses strangers took over from dead connections. Capture thread.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>

#include "capture/host_addresses.h"
#include "capture/packet.h"
#include "capture/translations.h"
#include "ports/port_set.h"

namespace tracedump {

/// Which end of a packet can be a local one: the sender's, the receiver's, or on the loopback either.
enum class Direction : std::uint8_t { incoming, outgoing, loopback };

/// From sockaddr_ll's sll_pkttype and sll_hatype (packet(7)).
Direction direction_of(std::uint8_t packet_type, std::uint16_t arphrd);

enum class Verdict : std::uint8_t { ours, foreign, undecided };

class Classifier {
public:
    /// Strangers' connections that are remembered. When there are more, no dead socket has an afterlife for a while.
    static constexpr std::size_t kMaxSuccessors = 1 << 14;

    /// How many connections are remembered to be translated, or not, and for how long. Of more, none is asked for: they
    /// count as not translated.
    static constexpr std::size_t kMaxKnown = 1 << 12;
    static constexpr Timestamp kKnownFor = kNanosPerSecond;

    /// `addresses`, `translations`: borrowed. `icmp_errors`: whether ICMP errors belong to whom they quote; else they
    /// are foreign.
    Classifier(HostAddresses& addresses, Translations& translations, bool icmp_errors = false)
        : addresses_(addresses), translations_(translations), icmp_errors_(icmp_errors) {}

    /// `undecided`: only a connect whose port is not known yet may own it; ask again with the next snapshot.
    Verdict classify(const ParsedPacket& packet, Direction direction, Timestamp time, const PortSet& ports);

private:
    struct Hash {
        std::size_t operator()(const Connection& connection) const;
    };

    enum class Role : std::uint8_t { sender, receiver };

    bool fits(const Claim& claim, const ParsedPacket& packet, Role role, const Connection& ends, Timestamp time);
    Verdict judge(const ParsedPacket& packet, Role role, const Connection& ends, Timestamp time, const PortSet& ports);
    Verdict judge_untranslated(const ParsedPacket& packet, Role role, const Connection& ends, Timestamp time,
                               const PortSet& ports);
    std::optional<Connection> ends_of_socket(const ParsedPacket& packet, const Connection& ends, Timestamp time);
    Verdict judge_error(const ParsedPacket& error, Direction direction, Timestamp time, const PortSet& ports);
    bool is_successor(const Connection& ends, Timestamp time) const;
    void add_successor(const Connection& ends, Timestamp time);

    HostAddresses& addresses_;
    Translations& translations_;
    const bool icmp_errors_;
    std::unordered_map<Connection, Timestamp, Hash> successors_;  // since when
    Timestamp too_many_until_ = kAlways;

    struct Known {
        Timestamp asked = 0;
        std::optional<Connection> ends;
    };
    std::map<Transport, std::unordered_map<Connection, Known, Hash>> known_;  // by the ends on the wire
    Timestamp tidied_ = 0;
};

}  // namespace tracedump
