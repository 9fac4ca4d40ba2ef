// System calls that matter not for sockets but for tracing itself: those that would lead a tracee away from its
// tracer, or that meet the seccomp filter of ours. Decoding is pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace tracedump {

enum class TracingCall : std::uint8_t {
    clone_untraced,  // clone(2) with CLONE_UNTRACED: a child that would have our filter, but no tracer
    strict_seccomp,  // prctl(2) or seccomp(2) for SECCOMP_MODE_STRICT, which the kernel refuses where a filter is
};

/// The call that a stop at its entry shows, if it is one of these. `audit_arch` as PTRACE_GET_SYSCALL_INFO tells it.
///
/// clone3(2) has its flags in memory, so that the filter would have to stop at every thread that is made; it is let go.
std::optional<TracingCall> decode_tracing_call(std::uint32_t audit_arch, std::uint64_t number,
                                               std::span<const std::uint64_t, 6> arguments);

}  // namespace tracedump
