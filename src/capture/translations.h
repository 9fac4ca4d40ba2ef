// What the host's address translation (NAT) makes of the application's connections, as the classifier sees it: packets
// have other ends on the wire than their socket has.
//
// This class itself is of a host that translates nothing.
#pragma once

#include <optional>

#include "ports/endpoint.h"

namespace tracedump {

/// Both ends of a packet, as seen from this host.
struct Connection {
    Endpoint local;
    Endpoint remote;

    bool operator==(const Connection&) const = default;
};

class Translations {
public:
    virtual ~Translations() = default;

    /// The ends that the socket has, on this host, whose packets have these ends on the wire; nothing if they are the
    /// same. Capture thread.
    virtual std::optional<Connection> untranslated(Transport, const Connection&) { return std::nullopt; }
};

}  // namespace tracedump
