#include "ports/port_set.h"

namespace tracedump {

std::span<const Claim> PortSet::claims(std::uint16_t port) const {
    const auto& page = pages_[port / kPagePorts];
    if (!page) return {};
    const Slot& slot = page->slots[port % kPagePorts];
    if (!slot) return {};
    return *slot;
}

template <typename Edit>
void PortSet::edit(std::uint16_t port, Edit change) {
    auto& shared_page = pages_[port / kPagePorts];
    const std::size_t index = port % kPagePorts;
    auto page = shared_page ? std::make_shared<Page>(*shared_page) : std::make_shared<Page>();
    auto claims = page->slots[index] ? *page->slots[index] : std::vector<Claim>();
    change(claims);
    const std::uint64_t bit = std::uint64_t{1} << (index % 64);
    if (claims.empty()) {
        page->used[index / 64] &= ~bit;
        page->slots[index] = nullptr;
    } else {
        page->used[index / 64] |= bit;
        page->slots[index] = std::make_shared<const std::vector<Claim>>(std::move(claims));
    }
    shared_page = std::move(page);
}

void PortSet::insert(const Claim& claim) {
    edit(claim.socket.local.port, [&](std::vector<Claim>& claims) { claims.push_back(claim); });
}

void PortSet::replace_living(std::uint16_t port, SocketCookie cookie, const Claim& claim) {
    edit(port, [&](std::vector<Claim>& claims) {
        for (Claim& c : claims)
            if (c.socket.cookie == cookie && c.alive()) c = claim;
    });
}

void PortSet::kill(std::uint16_t port, SocketCookie cookie, Timestamp death) {
    edit(port, [&](std::vector<Claim>& claims) {
        for (Claim& c : claims)
            if (c.socket.cookie == cookie && c.alive()) c.death = death;
    });
}

void PortSet::forget_dead(std::uint16_t port, Timestamp time) {
    edit(port,
         [&](std::vector<Claim>& claims) { std::erase_if(claims, [&](const Claim& c) { return c.death < time; }); });
}

}  // namespace tracedump
