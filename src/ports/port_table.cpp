#include "ports/port_table.h"

#include <atomic>

namespace tracedump {

namespace {

/// The kernel reads at any moment; a byte is there or not.
void store(std::uint8_t& byte, bool value) { std::atomic_ref(byte).store(value ? 1 : 0, std::memory_order_release); }

std::uint32_t slot_of(const Endpoint& remote) { return remote_slot(remote.address.low32(), remote.port); }

}  // namespace

PortTable::PortTable(port_table& memory)
    : memory_(memory), tcp_(PORT_TABLE_PORTS), udp_(PORT_TABLE_PORTS), remotes_(PORT_TABLE_REMOTES) {}

port_entry& PortTable::entry(Transport transport, std::uint16_t port) {
    return transport == Transport::tcp ? memory_.tcp[port] : memory_.udp[port];
}

std::uint32_t& PortTable::count(Transport transport, std::uint16_t port) {
    return transport == Transport::tcp ? tcp_[port] : udp_[port];
}

void PortTable::admit(Transport transport, std::uint16_t port) {
    std::lock_guard lock(mutex_);
    if (count(transport, port)++ == 0) store(entry(transport, port).claimed, true);
}

void PortTable::dismiss(Transport transport, std::uint16_t port) {
    std::lock_guard lock(mutex_);
    if (--count(transport, port) == 0) store(entry(transport, port).claimed, false);
}

void PortTable::admit(const Endpoint& remote) {
    std::lock_guard lock(mutex_);
    if (remotes_[slot_of(remote)]++ == 0) store(memory_.remotes[slot_of(remote)], true);
    if (remotes_in_all_++ == 0) store(memory_.any_remote, true);
}

void PortTable::dismiss(const Endpoint& remote) {
    std::lock_guard lock(mutex_);
    if (--remotes_in_all_ == 0) store(memory_.any_remote, false);
    if (--remotes_[slot_of(remote)] == 0) store(memory_.remotes[slot_of(remote)], false);
}

void PortTable::settle(Transport transport, std::uint16_t port) { store(entry(transport, port).born, false); }

}  // namespace tracedump
