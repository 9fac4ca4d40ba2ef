// Asks the kernel's connection tracking how it translates a connection (nfnetlink, conntrack(8); its zone 0): a
// question of some microseconds. Made in the thread that is in the network; after that, capture thread.
#pragma once

#include <chrono>
#include <cstdint>

#include "capture/translations.h"
#include "util/netlink.h"

namespace tracedump {

class Conntrack : public Translations {
public:
    /// Of the calling thread's network namespace. Where the kernel tracks nothing, or does not answer, as without
    /// CAP_NET_ADMIN, nothing is translated.
    Conntrack();

    std::optional<Connection> untranslated(Transport transport, const Connection& on_the_wire) override;

private:
    bool is_loaded();

    NetlinkSocket netlink_;
    std::uint32_t last_question_ = 0;
    bool loaded_ = false;
    std::chrono::steady_clock::time_point look_again_;
};

}  // namespace tracedump
