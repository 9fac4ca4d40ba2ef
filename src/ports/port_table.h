// The kernel's table of ports (bpf/port_table.h), and how many claims stand behind each of its entries: claims of all
// networks, which share the table. Any thread; one mutex keeps the counts. What hooks in the kernel have written is
// left alone until settle().
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "bpf/port_table.h"
#include "ports/port_filter.h"

namespace tracedump {

class PortTable : public PortFilter {
public:
    /// `memory` is borrowed and zero; the kernel may be reading it, and hooks writing.
    explicit PortTable(port_table& memory);

    void admit(Transport transport, std::uint16_t port) override;
    void dismiss(Transport transport, std::uint16_t port) override;
    void admit(const Endpoint& remote) override;
    void dismiss(const Endpoint& remote) override;

    /// The sockets that hooks have announced for this port so far are claimed, or will not be.
    void settle(Transport transport, std::uint16_t port);

private:
    using Counts = std::vector<std::uint32_t>;

    port_entry& entry(Transport transport, std::uint16_t port);
    std::uint32_t& count(Transport transport, std::uint16_t port);

    port_table& memory_;
    std::mutex mutex_;  // guards the counts, and the stores that follow from them
    Counts tcp_, udp_, remotes_;
    std::size_t remotes_in_all_ = 0;
};

}  // namespace tracedump
