// The filter in force on the packet socket. update() runs on whichever thread changes the registry, under its lock;
// when it returns, every packet of the set passes. Attaching is atomic for the kernel (SO_ATTACH_FILTER, socket(7)).
#pragma once

#include <chrono>
#include <cstdint>

#include "capture/filter_compiler.h"

namespace tracedump {

class KernelFilter {
public:
    /// `packet_socket` is borrowed and must outlive this. `snaplen` in bytes. `icmp_errors`: accept those too.
    KernelFilter(int packet_socket, std::uint32_t snaplen, bool icmp_errors = false)
        : socket_(packet_socket), snaplen_(snaplen), icmp_errors_(icmp_errors) {}

    /// Puts a filter for `set` in force. A filter that is in force and accepts all of `set` stays: attaching takes tens
    /// of microseconds, which the tracee would wait for. Throws Error if the kernel refuses.
    void update(const PortSet& set);

private:
    bool still_covers(const PortSet& set) const;
    bool is_too_wide(const FilterSpec& wanted) const;
    void attach(const FilterSpec& wanted);

    const int socket_;
    const std::uint32_t snaplen_;
    const bool icmp_errors_;
    std::size_t max_instructions_ = BPF_MAXINSNS;
    FilterSpec in_force_;
    PortSet covered_;  // the last set, which in_force_ covers
    std::chrono::steady_clock::time_point next_tidy_{};
};

}  // namespace tracedump
