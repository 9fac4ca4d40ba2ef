// The set of ports, with every claim to them, that belongs to the application at one moment. A value: the registry
// changes its own, and who wants to read gets a copy that nobody changes, a snapshot, and needs no lock. A copy costs
// 64 shared pointers; groups, pages and slots are shared until they change, which costs 32 for each of them, and are
// changed in place from then until the next copy.
#pragma once

#include <array>
#include <atomic>
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
    PortSet(const PortSet& other) : groups_(other.groups_), pending_(other.pending_) { other.edition_ = new_edition(); }
    PortSet& operator=(const PortSet& other);

    /// All claims to a port, of all transports, the dead that packets may still be judged by included.
    std::span<const Claim> claims(std::uint16_t port) const;

    bool contains(std::uint16_t port) const { return !claims(port).empty(); }

    /// Windows of connects under way.
    const std::vector<PendingRemote>& pending() const { return pending_; }

    /// Calls visit(port, claims) for each port in the set, in rising order.
    template <typename Visit>
    void for_each_port(Visit visit) const {
        for_each_port_changed_since(PortSet(), visit);
    }

    /// The same for ports whose claims may differ from those in `earlier`: all of each page that is not shared with it.
    /// For a set that was copied from `earlier` and changed in one place this looks at one page.
    template <typename Visit>
    void for_each_port_changed_since(const PortSet& earlier, Visit visit) const;

    // Changing it: never a snapshot, but the registry's own, under its lock.
    void insert(const Claim& claim);
    /// Replaces the claim of `cookie` on `port` that is alive by `claim` (same port).
    void replace_living(std::uint16_t port, SocketCookie cookie, const Claim& claim);
    /// The living claim of `cookie` on `port` receives nothing after `death`.
    void release(std::uint16_t port, SocketCookie cookie, Timestamp death);
    /// And a released one sends nothing after `silence`.
    void silence(std::uint16_t port, SocketCookie cookie, Timestamp silence);
    /// Both at once: gives the living claim of `cookie` on `port` its time of death.
    void kill(std::uint16_t port, SocketCookie cookie, Timestamp death);
    /// Forgets the claims of `cookie` on `port` that died at `death`.
    void forget_dead(std::uint16_t port, SocketCookie cookie, Timestamp death);
    /// Takes out the provisional claims of `cookie` on `port`, as if there had been none.
    void withdraw(std::uint16_t port, SocketCookie cookie);
    void add_pending(const PendingRemote& pending) { pending_.push_back(pending); }
    void remove_pending(std::uint64_t window) {
        std::erase_if(pending_, [&](const PendingRemote& p) { return p.window == window; });
    }

private:
    static constexpr std::size_t kGroups = 64, kPages = 32, kSlots = 32;
    static_assert(kGroups * kPages * kSlots == 65536);

    struct Slot {
        std::uint64_t edition = 0;
        std::vector<Claim> claims;
    };
    struct Page {
        std::uint64_t edition = 0;
        std::uint32_t used = 0;  // a bit for each slot that is not empty
        std::array<std::shared_ptr<Slot>, kSlots> slots{};
    };
    struct Group {
        std::uint64_t edition = 0;
        std::array<std::shared_ptr<Page>, kPages> pages{};
    };

    static std::uint64_t new_edition();
    template <typename Part>
    Part& own(std::shared_ptr<Part>& part);
    template <typename Edit>
    void edit(std::uint16_t port, Edit change);

    std::array<std::shared_ptr<Group>, kGroups> groups_{};
    std::vector<PendingRemote> pending_;
    // Never given twice. A part that carries it was made since this set was last copied from: nobody else has it.
    mutable std::atomic<std::uint64_t> edition_{new_edition()};
};

template <typename Visit>
void PortSet::for_each_port_changed_since(const PortSet& earlier, Visit visit) const {
    for (std::size_t g = 0; g < kGroups; ++g) {
        const Group* group = groups_[g].get();
        const Group* earlier_group = earlier.groups_[g].get();
        if (!group || group == earlier_group) continue;
        for (std::size_t p = 0; p < kPages; ++p) {
            const Page* page = group->pages[p].get();
            if (!page || (earlier_group && page == earlier_group->pages[p].get())) continue;
            for (std::uint32_t rest = page->used; rest != 0; rest &= rest - 1) {
                const auto s = static_cast<std::size_t>(std::countr_zero(rest));
                visit(static_cast<std::uint16_t>((g * kPages + p) * kSlots + s),
                      std::span<const Claim>(page->slots[s]->claims));
            }
        }
    }
}

}  // namespace tracedump
