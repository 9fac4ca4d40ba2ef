// The seccomp filter of a launched command: stops (SECCOMP_RET_TRACE) at the system calls of net_call.h, lets every
// other run at full speed, send() and recv() among them. Built by libseccomp before the fork, since it allocates;
// installed by the child between fork and exec (seccomp(2)).
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace tracedump {

/// The 16 bits that our SECCOMP_RET_TRACE carries, to tell its stops from those of a tracee's own filter.
inline constexpr std::uint16_t kSeccompTraceData = 0x7464;

/// Throws Error if libseccomp cannot build it.
std::vector<sock_filter> build_seccomp_filter();

/// Installs it in the calling thread. Without CAP_SYS_ADMIN the kernel wants no_new_privs first. Returns 0 or errno.
/// Async-signal-safe.
int install_seccomp_filter(const std::vector<sock_filter>& filter);

}  // namespace tracedump
