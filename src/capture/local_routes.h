// The addresses that the kernel delivers to sockets of this host: the destinations of its routes of type local,
// broadcast and anycast, in all routing tables (rtnetlink(7); whole prefixes too, as 127.0.0.0/8, or those of a
// transparent proxy). It asks for them when a packet has another address than those it knows, and listens for changes,
// which the kernel tells before the change is over: what was told by then holds for every packet from before.
// Made in the thread that is in the network; after that, capture thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "capture/host_addresses.h"

struct mnl_socket;

namespace tracedump {

class LocalRoutes : public HostAddresses {
public:
    /// Of the calling thread's network namespace. If the kernel does not tell, all addresses count as the host's.
    LocalRoutes();

    /// An address that was taken away is remembered for the packets from before.
    bool contains(const Address& address, Timestamp time) override;

private:
    using Socket = std::unique_ptr<mnl_socket, int (*)(mnl_socket*)>;
    using Prefix = std::pair<int, Address>;  // its length, in bits of the IPv6 form

    bool covers(const Address& address, Timestamp time);
    bool hear_of_changes();
    void ask_for_all();
    std::optional<std::vector<Prefix>> list(int family, int type);

    Socket changes_;
    Socket questions_;
    std::map<Prefix, Timestamp> routes_;  // until when there was such a route
    bool known_ = false;                  // routes_ was read without an error
    Timestamp known_until_ = kAlways;     // all changes up to then have been heard of
    // The last address that was found, as the next packet's is most often.
    Address last_;
    Timestamp last_until_ = kAlways;
};

}  // namespace tracedump
