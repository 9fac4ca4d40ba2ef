#include "capture/fragment_tracker.h"

#include <string_view>

namespace tracedump {

std::size_t FragmentTracker::Hash::operator()(const DatagramKey& key) const {
    const auto text = [](const Address& address) {
        return std::string_view(reinterpret_cast<const char*>(address.bytes().data()), address.bytes().size());
    };
    constexpr std::size_t kMix = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
    std::size_t hash = std::hash<std::string_view>()(text(key.source));
    hash = hash * kMix ^ std::hash<std::string_view>()(text(key.destination));
    return hash * kMix ^ (key.identification + static_cast<std::size_t>(key.protocol));
}

FragmentTracker::Datagram& FragmentTracker::remember(const DatagramKey& key, Timestamp time) {
    Datagram& datagram = datagrams_[key];
    datagram.serial = ++last_serial_;
    ages_.push_back({key, datagram.serial, time});
    return datagram;
}

std::vector<HeldPacket> FragmentTracker::on_first(const DatagramKey& key, bool ours, Timestamp time) {
    make_room(0, time);
    const auto known = datagrams_.find(key);
    std::vector<HeldPacket> held;
    if (known != datagrams_.end()) {
        if (!ours) drop_held(known->second);
        held = std::move(known->second.held);
        for (const HeldPacket& packet : held) held_bytes_ -= packet.size();
        datagrams_.erase(known);
    }
    Datagram& datagram = remember(key, time);
    datagram.judged = true;
    datagram.ours = ours;
    return held;
}

FragmentTracker::Fate FragmentTracker::on_later(const DatagramKey& key, const PacketRef& packet) {
    make_room(packet.captured_length + kLinkAddressSize, packet.time);
    const auto known = datagrams_.find(key);
    if (known != datagrams_.end() && known->second.judged) return known->second.ours ? Fate::ours : Fate::foreign;
    Datagram& datagram = known != datagrams_.end() ? known->second : remember(key, packet.time);
    datagram.held.emplace_back(packet);
    held_bytes_ += datagram.held.back().size();
    return Fate::held;
}

void FragmentTracker::drop_held(Datagram& datagram) {
    for (const HeldPacket& packet : datagram.held) held_bytes_ -= packet.size();
    given_up_ += datagram.held.size();
    datagram.held.clear();
}

void FragmentTracker::forget_oldest() {
    const auto oldest = datagrams_.find(ages_.front().key);
    if (oldest != datagrams_.end() && oldest->second.serial == ages_.front().serial) {
        drop_held(oldest->second);
        datagrams_.erase(oldest);
    }
    ages_.pop_front();
}

void FragmentTracker::make_room(std::size_t bytes, Timestamp now) {
    while (!ages_.empty() && (ages_.size() >= kMaxDatagrams || held_bytes_ + bytes > kMaxHeldBytes ||
                              ages_.front().time + kPatience < now))
        forget_oldest();
}

}  // namespace tracedump
