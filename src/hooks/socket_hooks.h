// The hooks in the kernel (bpf/socket_hooks.bpf.c): loaded, attached to the topmost cgroup, and everything that is
// shared with them. They are gone with this object, or with the process, however it ends: links of bpf(2), nothing is
// pinned. Several captures have hooks of their own, side by side.
//
// Any thread may call any method but drain(), which is for one at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "bpf/socket_event.h"
#include "hooks/event_ring.h"
#include "ports/socket.h"
#include "ports/socket_news.h"
#include "util/netns.h"

namespace tracedump {

class SocketHooks {
public:
    static constexpr std::size_t kDefaultRing = 2 << 20;  // bytes: some 20,000 events

    /// `ports_map` is the table of the eBPF packet filter, into which they write (EbpfFilter::ports_map); borrowed
    /// until the constructor returns. `ring` in bytes, a power of two. Throws Error: what is missing, or forbidden.
    explicit SocketHooks(int ports_map, std::size_t ring = kDefaultRing);
    ~SocketHooks();
    SocketHooks(const SocketHooks&) = delete;
    SocketHooks& operator=(const SocketHooks&) = delete;

    /// Where they are attached.
    const std::string& cgroup() const;

    /// Whether the end of a TCP connection is reported, where its beginning was (Linux 5.17).
    bool tell_tcp_ends() const;

    /// The processes whose sockets are reported; `gifts`: sockets may be given to it.
    void watch(pid_t process, bool gifts);
    void unwatch(pid_t process);
    bool gets_gifts(pid_t process) const;
    /// From now on, if it is watched.
    void expect_gifts(pid_t process);

    /// A thread that waits in a hook (SOCKET_ABROAD) goes on.
    void answer(const HookedThread& thread);

    /// The networks in which no thread need wait.
    void capture(NetworkId network);
    void uncapture(NetworkId network);

    /// Whether the application has sockets there that have no port yet.
    bool has_unused(NetworkId network) const;

    /// A UDP socket with a port that is the application's.
    void know(SocketCookie cookie, NetworkId network, std::uint16_t port);

    using Take = EventRing::Take;
    /// EventRing::drain.
    void drain(const Take& take);

    /// Readable when it is urgent to drain.
    int fd() const;

    /// Events, or sockets to be known, that found no room, ever.
    std::uint64_t lost() const;
    /// Sockets that sent before their network was captured, ever.
    std::uint64_t unseen() const;

private:
    class Loaded;
    const std::unique_ptr<Loaded> loaded_;
};

}  // namespace tracedump
