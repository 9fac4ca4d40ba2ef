// The classic engine: the filter in force on one packet socket, compiled from the port set (filter_compiler.h). It
// works wherever there are packet sockets. enforce() runs on whichever thread changes the registry, under its lock;
// attaching is atomic for the kernel (SO_ATTACH_FILTER, socket(7)).
#pragma once

#include <chrono>
#include <cstdint>

#include "capture/filter_compiler.h"
#include "capture/filter_engine.h"

namespace tracedump {

class ClassicFilter : public PortFilter {
public:
    /// `packet_socket` is borrowed and must outlive this. `snaplen` in bytes. `icmp_errors`: accept those too.
    ClassicFilter(int packet_socket, std::uint32_t snaplen, bool icmp_errors = false)
        : socket_(packet_socket), snaplen_(snaplen), icmp_errors_(icmp_errors) {}

    /// Puts a filter for `set` in force. A filter that is in force and accepts all of `set` stays: attaching takes tens
    /// of microseconds, which the tracee would wait for. Throws Error if the kernel refuses.
    void enforce(const PortSet& set) override;

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

class ClassicEngine : public FilterEngine {
public:
    ClassicEngine(std::uint32_t snaplen, bool icmp_errors) : snaplen_(snaplen), icmp_errors_(icmp_errors) {}

    std::shared_ptr<PortFilter> put_on(int packet_socket) override {
        return std::make_shared<ClassicFilter>(packet_socket, snaplen_, icmp_errors_);
    }

private:
    const std::uint32_t snaplen_;
    const bool icmp_errors_;
};

}  // namespace tracedump
