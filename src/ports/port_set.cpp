#include "ports/port_set.h"

namespace tracedump {

std::span<const Claim> PortSet::claims(std::uint16_t port) const {
    const auto& group = groups_[port / (kPages * kSlots)];
    if (!group) return {};
    const auto& page = group->pages[port / kSlots % kPages];
    if (!page) return {};
    const auto& slot = page->slots[port % kSlots];
    if (!slot) return {};
    return slot->claims;
}

std::uint64_t PortSet::new_edition() {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

PortSet& PortSet::operator=(const PortSet& other) {
    if (this == &other) return *this;
    groups_ = other.groups_;
    pending_ = other.pending_;
    edition_ = new_edition();
    other.edition_ = new_edition();
    return *this;
}

/// The part, to be changed in place: a copy of it if others may have it too.
template <typename Part>
Part& PortSet::own(std::shared_ptr<Part>& part) {
    if (!part)
        part = std::make_shared<Part>();
    else if (part->edition != edition_)
        part = std::make_shared<Part>(*part);
    part->edition = edition_;
    return *part;
}

template <typename Edit>
void PortSet::edit(std::uint16_t port, Edit change) {
    Group& group = own(groups_[port / (kPages * kSlots)]);
    Page& page = own(group.pages[port / kSlots % kPages]);
    const std::size_t index = port % kSlots;
    Slot& slot = own(page.slots[index]);
    change(slot.claims);
    const std::uint32_t bit = std::uint32_t{1} << index;
    if (slot.claims.empty()) {
        page.used &= ~bit;
        page.slots[index] = nullptr;
    } else {
        page.used |= bit;
    }
}

void PortSet::insert(const Claim& claim) {
    edit(claim.socket.local.port, [&](std::vector<Claim>& claims) { claims.push_back(claim); });
}

void PortSet::replace_living(std::uint16_t port, SocketCookie cookie, const Claim& claim) {
    edit(port, [&](std::vector<Claim>& claims) {
        for (Claim& c : claims)
            if (c.socket.cookie == cookie && c.alive() && !c.provisional) c = claim;
    });
}

void PortSet::kill(std::uint16_t port, SocketCookie cookie, Timestamp death) {
    edit(port, [&](std::vector<Claim>& claims) {
        for (Claim& c : claims)
            if (c.socket.cookie == cookie && c.alive() && !c.provisional) c.death = death;
    });
}

void PortSet::release(std::uint16_t port, SocketCookie cookie, Timestamp death) {
    edit(port, [&](std::vector<Claim>& claims) {
        for (Claim& c : claims)
            if (c.socket.cookie == cookie && c.alive() && !c.provisional) {
                c.death = death;
                c.silence = kNever;
            }
    });
}

void PortSet::silence(std::uint16_t port, SocketCookie cookie, Timestamp silence) {
    edit(port, [&](std::vector<Claim>& claims) {
        for (Claim& c : claims)
            if (c.socket.cookie == cookie && c.silence == kNever) c.silence = silence;
    });
}

void PortSet::forget_dead(std::uint16_t port, SocketCookie cookie, Timestamp death) {
    edit(port, [&](std::vector<Claim>& claims) {
        std::erase_if(claims, [&](const Claim& c) { return c.socket.cookie == cookie && c.death == death; });
    });
}

void PortSet::withdraw(std::uint16_t port, SocketCookie cookie) {
    edit(port, [&](std::vector<Claim>& claims) {
        std::erase_if(claims, [&](const Claim& c) { return c.socket.cookie == cookie && c.provisional; });
    });
}

}  // namespace tracedump
