// Which addresses are this host's own, in one network, as the classifier sees it: what a socket on the wildcard address
// can have packets by. Whatever has only others' addresses passes through, routed or bridged, to no socket here.
//
// This class itself is of a host that nothing is known of: all are.
#pragma once

#include "ports/endpoint.h"
#include "util/clock.h"

namespace tracedump {

class HostAddresses {
public:
    virtual ~HostAddresses() = default;

    /// Whether a packet of `time` may have been to or from a socket here by `address`. Capture thread.
    virtual bool contains(const Address&, Timestamp) { return true; }

    /// Readable when they change, and hear() is to be called soon: from then on what is gone is gone. -1: never.
    virtual int fd() const { return -1; }
    virtual void hear() {}
};

}  // namespace tracedump
