// The eBPF engine: one program (bpf/packet_filter.bpf.c), loaded once, on the packet sockets of all networks, and the
// table of ports that it reads (bpf(2), SO_ATTACH_BPF in socket(7)). A new port is one store into mapped memory.
#pragma once

#include <memory>

#include "capture/filter_engine.h"
#include "ports/port_table.h"

namespace tracedump {

class EbpfFilter : public FilterEngine {
public:
    /// `snaplen` in bytes. `icmp_errors`: accept those too. Throws Error: the kernel has no bpf(2), or forbids it here.
    EbpfFilter(std::uint32_t snaplen, bool icmp_errors);
    ~EbpfFilter() override;

    std::shared_ptr<PortFilter> put_on(int packet_socket) override;

    /// The table, and the descriptor of its map, for hooks in the kernel that write into it. Both live as long as this.
    PortTable& ports();
    int ports_map() const;

    /// The descriptor of the program.
    int program() const;

private:
    class Loaded;
    std::shared_ptr<Loaded> loaded_;
};

}  // namespace tracedump
