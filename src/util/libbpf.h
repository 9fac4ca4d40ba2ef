// What libbpf says goes to our log, not to standard error: a kernel that refuses a program is no news to a user who did
// not ask for it.
#pragma once

#include <sys/resource.h>

namespace tracedump {

/// From here on. Any thread; once is enough.
void quiet_libbpf();

/// Where programs and maps count as locked memory, before Linux 5.11, libbpf lifts our limit of that when it loads
/// some (bump_rlimit_memlock in its bpf.c), and a command would inherit that. When this ends, the limit is as it was;
/// what is loaded stays.
class MemlockLimitKept {
public:
    MemlockLimitKept();
    ~MemlockLimitKept();
    MemlockLimitKept(const MemlockLimitKept&) = delete;
    MemlockLimitKept& operator=(const MemlockLimitKept&) = delete;

private:
    rlimit found_{};
    bool known_;
};

}  // namespace tracedump
