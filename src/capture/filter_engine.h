// The two ways to filter packets in the kernel: an eBPF program over a mapped table of ports, or classic BPF programs,
// compiled anew when the set of ports changes. Both accept the same packets. Any thread that opens a network.
#pragma once

#include <memory>

#include "ports/port_filter.h"

namespace tracedump {

class FilterEngine {
public:
    virtual ~FilterEngine() = default;

    /// Has `packet_socket`, which is borrowed, filtered; it accepts nothing yet. Throws Error if the kernel refuses.
    virtual std::shared_ptr<PortFilter> put_on(int packet_socket) = 0;
};

}  // namespace tracedump
