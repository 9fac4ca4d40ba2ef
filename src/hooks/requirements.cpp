#include "hooks/requirements.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>

#include "util/error.h"
#include "util/fd.h"

namespace tracedump {

void require_place_for_hooks() {
    constexpr ino_t kInitialPids = 0xEFFFFFFC;  // PROC_PID_INIT_INO in include/linux/proc_ns.h
    struct stat status {};
    if (stat("/proc/self/ns/pid", &status) == 0 && status.st_ino != kInitialPids)
        throw Error("the ids of processes here are not those that hooks see (we are in a PID namespace)");
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    std::uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    if (getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
        throw_errno(errno, "asking for the cookie of a network namespace");
}

}  // namespace tracedump
