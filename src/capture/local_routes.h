// The addresses that the kernel delivers to sockets of this host: the destinations of its routes of type local,
// broadcast and anycast, in all routing tables (rtnetlink(7); whole prefixes too, as 127.0.0.0/8, or those of a
// transparent proxy). The kernel tells of each change before the change is over; it is listened to at once, and when a
// packet is judged that is newer than what was heard so far: what is known then is what was there when the packet came.
// But it does not tell when something went: that is taken to be when it is heard of.
// Made in the thread that is in the network; after that, capture thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "capture/host_addresses.h"
#include "util/netlink.h"

namespace tracedump {

class LocalRoutes : public HostAddresses {
public:
    /// Of the calling thread's network namespace. If the kernel does not tell, all addresses count as the host's.
    LocalRoutes();

    /// An address that was taken away is remembered for the packets from before.
    bool contains(const Address& address, Timestamp time) override;

    int fd() const override;
    void hear() override;

private:
    using Prefix = std::pair<int, Address>;        // its length, in bits of the IPv6 form
    using RouteId = std::array<std::uint32_t, 4>;  // table, device, metric, preferred IPv4 source

    struct Route {
        Prefix prefix;
        RouteId id{};
    };
    struct Known {
        std::set<RouteId> routes;
        Timestamp until = kAlways;  // when the last of them went

        bool holds(Timestamp time) const { return !routes.empty() || time <= until; }
    };

    static std::optional<Route> route_in(const nlmsghdr* message);
    static int notice(const nlmsghdr* message, void* self);

    bool covers(const Address& address, Timestamp time);
    void ask_for_all();
    void remove(const Route& route, Timestamp now);
    std::optional<std::vector<Route>> list(int family, int type);

    NetlinkSocket changes_;
    NetlinkSocket questions_;
    std::map<Prefix, Known> prefixes_;
    bool known_ = false;  // prefixes_ was read without an error
    bool refusal_told_ = false;
    Timestamp heard_until_ = kAlways;  // all changes up to then
    std::optional<Address> last_;      // that was found, as the next packet's is most often
};

}  // namespace tracedump
