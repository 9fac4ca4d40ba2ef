// The set of ports, with every claim to them, that belongs to the application at one moment. A value: the registry
// copies it, changes the copy, publishes that as the next snapshot, and never touches it again, so that any thread
// may read a snapshot without a lock. A copy costs 256 pointers; pages and slots are shared until they change.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ports/socket.h"

namespace tracedump {

class PortSet {
public:
    PortSet() = default;

    /// All claims to a port, of all transports, the dead that packets may still be judged by included.
    std::span<const Claim> claims(std::uint16_t port) const;

    bool contains(std::uint16_t port) const { return !claims(port).empty(); }

    /// Windows of connects under way.
    const std::vector<PendingRemote>& pending() const { return pending_; }

    /// Calls visit(first, last) for each maximal run of ports in the set, in rising order.
    template <typename Visit>
    void for_each_range(Visit visit) const;

    // Changing a set that is not published yet; the registry's thread under its lock.
    void insert(const Claim& claim);
    /// Replaces the claim of `cookie` on `port` that is alive by `claim` (same port).
    void replace_living(std::uint16_t port, SocketCookie cookie, const Claim& claim);
    /// Gives the living claim of `cookie` on `port` its time of death.
    void kill(std::uint16_t port, SocketCookie cookie, Timestamp death);
    /// Forgets the claims on `port` that died before `time`.
    void forget_dead(std::uint16_t port, Timestamp time);
    void add_pending(const PendingRemote& pending) { pending_.push_back(pending); }
    void remove_pending(std::uint64_t window) {
        std::erase_if(pending_, [&](const PendingRemote& p) { return p.window == window; });
    }

private:
    static constexpr std::size_t kPagePorts = 256;
    using Slot = std::shared_ptr<const std::vector<Claim>>;
    struct Page {
        std::array<std::uint64_t, kPagePorts / 64> used{};  // a bit for each slot that is not empty
        std::array<Slot, kPagePorts> slots{};
    };

    template <typename Edit>
    void edit(std::uint16_t port, Edit change);

    std::array<std::shared_ptr<const Page>, 65536 / kPagePorts> pages_{};
    std::vector<PendingRemote> pending_;
};

template <typename Visit>
void PortSet::for_each_range(Visit visit) const {
    int first = -1;  // of the run that is open, or -1
    for (int base = 0; base < 65536; base += 64) {
        const auto& page = pages_[static_cast<std::size_t>(base) / kPagePorts];
        std::uint64_t word = page ? page->used[static_cast<std::size_t>(base) % kPagePorts / 64] : 0;
        int bit = 0;
        while (bit < 64) {
            const std::uint64_t rest = word >> bit;
            if (first < 0) {  // look for the next port in the set
                if (rest == 0) break;
                bit += std::countr_zero(rest);
                first = base + bit;
            } else {  // look for the end of the run
                bit += std::countr_one(rest);
                if (bit >= 64) break;
                visit(static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(base + bit - 1));
                first = -1;
            }
        }
    }
    if (first >= 0) visit(static_cast<std::uint16_t>(first), std::uint16_t{65535});
}

}  // namespace tracedump
