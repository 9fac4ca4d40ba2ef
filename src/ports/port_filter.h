// What lets the application's packets pass in the kernel, as the registry sees it: it is told of each port and remote
// before anyone relies on it. Called under a registry's lock, by whichever thread made the change; must not call back.
#pragma once

#include "ports/port_set.h"

namespace tracedump {

class PortFilter {
public:
    virtual ~PortFilter() = default;

    /// A claim to `port` is new; another one may be there already. Each admission is dismissed once, when no packet of
    /// that claim is to be expected any more.
    virtual void admit(Transport, std::uint16_t) {}
    virtual void dismiss(Transport, std::uint16_t) {}

    /// The same for the remote of a connect whose port is not known yet.
    virtual void admit(const Endpoint&) {}
    virtual void dismiss(const Endpoint&) {}

    /// When this returns, all packets of `set` pass. Throws Error if the kernel refuses.
    virtual void enforce(const PortSet&) {}
};

}  // namespace tracedump
