#include "util/netns.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <exception>

#include "util/error.h"

namespace tracedump {

NetworkId network_of_socket(int socket) {
    std::uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    if (getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0) return cookie;
    const UniqueFd network(ioctl(socket, SIOCGSKNS));
    return network ? inode_of_network(network) : 0;
}

NetworkId network_here() {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) throw_errno(errno, "opening a socket to name its network namespace");
    return network_of_socket(socket.get());
}

UniqueFd open_network_of_socket(int socket) {
    UniqueFd network(ioctl(socket, SIOCGSKNS));
    if (!network) throw_errno(errno, "finding the network namespace of a socket");
    return network;
}

UniqueFd open_network_of_process(pid_t pid) { return open_network_of_thread(pid, pid); }

UniqueFd open_network_of_thread(pid_t pid, pid_t tid) {
    return UniqueFd(open(fmt::format("/proc/{}/task/{}/ns/net", pid, tid).c_str(), O_RDONLY | O_CLOEXEC));
}

std::uint64_t inode_of_network(const UniqueFd& network) {
    struct stat status {};
    return fstat(network.get(), &status) == 0 ? status.st_ino : 0;
}

NetworkVisit::NetworkVisit(const UniqueFd& network) {
    UniqueFd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!home) throw_errno(errno, "opening our own network namespace");
    if (inode_of_network(home) == inode_of_network(network)) return;
    if (setns(network.get(), CLONE_NEWNET) != 0) throw_errno(errno, "entering another network namespace");
    home_ = std::move(home);
}

NetworkVisit::~NetworkVisit() {
    // We were there before: only a kernel that is out of memory could refuse, and to go on abroad would be wrong.
    if (home_ && setns(home_.get(), CLONE_NEWNET) != 0) std::terminate();
}

}  // namespace tracedump
