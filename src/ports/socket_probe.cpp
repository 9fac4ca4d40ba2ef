#include "ports/socket_probe.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>
#include <utility>

#include "util/error.h"
#include "util/procfs.h"

namespace tracedump {

namespace {

constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9

constexpr SocketCookie kMadeUpCookies = SocketCookie{1} << 63;  // the kernel counts upwards from 1

int pidfd_open(pid_t pid, unsigned flags) { return static_cast<int>(syscall(SYS_pidfd_open, pid, flags)); }
int pidfd_getfd(int pidfd, int fd) { return static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, fd, 0)); }

template <typename Value>
bool get_option(int socket, int level, int name, Value& value) {
    socklen_t length = sizeof value;
    return getsockopt(socket, level, name, &value, &length) == 0;
}

struct Kind {
    Transport transport;
    bool multipath = false;
};

std::optional<Kind> kind_of(int socket) {
    int type = 0, protocol = 0;
    // A raw socket's "protocol" may be UDP's number, a ping socket's type is SOCK_DGRAM: ask for both.
    if (!get_option(socket, SOL_SOCKET, SO_TYPE, type) || !get_option(socket, SOL_SOCKET, SO_PROTOCOL, protocol))
        return std::nullopt;
    if (type == SOCK_STREAM && protocol == IPPROTO_TCP) return Kind{Transport::tcp};
    if (type == SOCK_STREAM && protocol == IPPROTO_MPTCP) return Kind{Transport::tcp, true};
    if (type == SOCK_DGRAM && protocol == IPPROTO_UDP) return Kind{Transport::udp};
    if (type == SOCK_DGRAM && protocol == IPPROTO_UDPLITE) return Kind{Transport::udplite};
    return std::nullopt;
}

}  // namespace

void require_socket_probing() {
    const UniqueFd self(pidfd_open(getpid(), 0));
    if (!self && errno == ENOSYS) throw Error("this kernel is too old: it lacks pidfd_open(2), which Linux 5.3 has");
    if (!self) throw_errno(errno, "cannot open a pidfd (pidfd_open)");
    const UniqueFd again(pidfd_getfd(self.get(), self.get()));
    if (!again && errno == ENOSYS) throw Error("this kernel is too old: it lacks pidfd_getfd(2), which Linux 5.6 has");
    if (!again) throw_errno(errno, "cannot look at sockets (pidfd_getfd)");
}

UniqueFd open_pidfd(pid_t tid, pid_t tgid) {
    UniqueFd pidfd(pidfd_open(tid, kPidfdThread));
    if (!pidfd && errno == EINVAL) pidfd.reset(pidfd_open(tgid, 0));
    return pidfd;
}

UniqueFd borrow_descriptor(const UniqueFd& pidfd, int fd, int& error) {
    UniqueFd borrowed(pidfd_getfd(pidfd.get(), fd));
    error = borrowed ? 0 : errno;
    return borrowed;
}

std::vector<UniqueFd> find_sockets(pid_t tid, pid_t tgid, std::span<const SocketCookie> cookies) {
    std::vector<UniqueFd> found;
    const UniqueFd pidfd = open_pidfd(tid, tgid);
    if (!pidfd) return found;
    std::unordered_set<SocketCookie> wanted(cookies.begin(), cookies.end());
    auto descriptors = ProcFs().descriptors(tgid, tid);
    std::sort(descriptors.begin(), descriptors.end(), [](const auto& a, const auto& b) { return a.fd > b.fd; });
    for (const ProcFs::Descriptor& descriptor : descriptors) {
        if (wanted.empty()) break;
        if (descriptor.kind != ProcFs::Descriptor::Kind::socket) continue;
        int error = 0;
        UniqueFd socket = borrow_descriptor(pidfd, descriptor.fd, error);
        SocketCookie cookie = 0;
        if (socket && get_option(socket.get(), SOL_SOCKET, SO_COOKIE, cookie) && wanted.erase(cookie) != 0)
            found.push_back(std::move(socket));
    }
    return found;
}

bool has_cookie(const UniqueFd& socket, SocketCookie cookie) {
    SocketCookie own = 0;
    return get_option(socket.get(), SOL_SOCKET, SO_COOKIE, own) && own == cookie;
}

std::optional<SocketInfo> inspect_socket(const UniqueFd& socket) {
    const auto kind = kind_of(socket.get());
    if (!kind) return std::nullopt;
    SocketInfo info;
    info.transport = kind->transport;
    info.multipath = kind->multipath;
    if (info.multipath) {
        // mptcp_sk_clone_init in net/mptcp/protocol.c leaves an accepted socket its listener's cookie, and no list has
        // either: the inode tells them apart.
        struct stat status {};
        if (fstat(socket.get(), &status) != 0) return std::nullopt;
        info.cookie = kMadeUpCookies | status.st_ino;
    } else if (!get_option(socket.get(), SOL_SOCKET, SO_COOKIE, info.cookie)) {
        return std::nullopt;
    }
    if (!look_again(socket, info)) return std::nullopt;
    return info;
}

bool look_again(const UniqueFd& socket, SocketInfo& info) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return false;
    const auto local = endpoint_of(address, length);
    if (!local) return false;
    info.local = *local;

    if (address.ss_family == AF_INET6 && local->address.is_wildcard()) {
        int only_v6 = 0;
        get_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, only_v6);
        info.families = only_v6 != 0 ? Families::v6 : Families::both;
    } else {
        info.families = local->address.is_v4() ? Families::v4 : Families::v6;
    }

    // A connected UDP socket may still send elsewhere (sendto), so its port stays open to all remotes.
    length = sizeof address;
    info.remote.reset();
    if (info.transport == Transport::tcp && local->port != 0 &&
        getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0)
        info.remote = endpoint_of(address, length);
    return true;
}

bool choose_udp_port(const UniqueFd& socket, SocketInfo& info) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return false;
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return false;
    length = sizeof address;
    if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return false;
    info.local.port = endpoint_of(address, length).value_or(info.local).port;
    return info.local.port != 0;
}

}  // namespace tracedump
