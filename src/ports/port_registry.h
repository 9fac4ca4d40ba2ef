// Which sockets, ports and remotes the application uses, and since when: the one place where that is changed.
// monitor and SocketNews add, gc retires; readers see the whole of each change at once, in a PortSet snapshot. Any
// thread may call any method.
//
// Before a change is published the filter given at construction puts it in force in the kernel, so that a method that
// has returned means: from now on the packets of that socket pass the filter (promise "first packet").
#pragma once

#include <atomic>
#include <bitset>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ports/port_filter.h"
#include "ports/port_set.h"
#include "util/published.h"

namespace tracedump {

/// Something that happened to a socket.
struct SocketChange {
    enum class Kind : std::uint8_t {
        claimed,    // it is the application's
        found,      // so it is, but no hook has reported it, nor will its end
        released,   // it was closed, but what it has sent may still wait to go out; only the cookie is known
        finished,   // it was closed, and has sent all; only the cookie is known
        succeeded,  // it is not the application's, and sends from a UDP port that was
    };
    SocketInfo socket;
    Timestamp time = kAlways;
    Kind kind = Kind::claimed;
};

class PortRegistry {
public:
    /// Without a filter: none is told. Claims that have no afterlife are remembered for `memory` after their death.
    explicit PortRegistry(std::shared_ptr<PortFilter> filter, Timestamp memory = 0);

    const Published<PortSet>& snapshot() const { return snapshot_; }

    /// The application has this socket, with this local port. A socket that is known is brought up to date; one
    /// without a port (yet, or after a disconnect) loses its claim. `birth` is when it can first have had packets.
    void claim(const SocketInfo& socket, Timestamp birth) { claim(std::span(&socket, 1), birth); }
    void claim(std::span<const SocketInfo> sockets, Timestamp birth);

    /// Things that hooks have reported: they happened one after the other, in that order. As one change.
    void update(std::span<const SocketChange> changes);

    /// A TCP connect to `remote` begins: returns the window's number for close_window.
    std::uint64_t open_window(SocketCookie cookie, Transport transport, const Endpoint& remote, Timestamp opened);

    /// A bind begins that may give `socket` the port that it has here: returns the window's number for close_window.
    std::uint64_t open_bind_window(const SocketInfo& socket, Timestamp opened);

    /// The window's socket turned out to be `socket` (its claim reaches back to the window's opening; port 0: the
    /// call failed without one), or is not to be known. A window that is closed already is ignored.
    void close_window(std::uint64_t window, const std::optional<SocketInfo>& socket);

    /// Whether TCP sockets were claimed that hooks have not reported, ever: no hook will tell their end.
    bool has_found_tcp() const { return found_tcp_; }

    /// These sockets are gone since `death`. Their claims stay for packets up to then; those that were released before
    /// send until then. Unknown cookies are ignored.
    void retire(std::span<const SocketCookie> cookies, Timestamp death);

    /// Forgets the dead that no packet can ask for any more: every packet up to `time` has been judged. Of more than
    /// kMaxAfterlives (TCP or not) those that died first are forgotten sooner.
    void forget_dead(Timestamp time);
    static constexpr std::size_t kMaxAfterlives = 1 << 16;

    /// The claim of a socket that is alive.
    std::optional<Claim> find(SocketCookie cookie) const;

    /// Whether a living socket has the same ends.
    bool has_twin(const SocketInfo& socket) const;

    /// Whether no socket is alive and no connect or bind under way.
    bool idle() const;

    /// What is alive, for a sweep.
    std::vector<Claim> living() const;

    struct Totals {
        std::uint64_t sockets = 0;  // ever claimed
        std::uint64_t ports = 0;    // distinct transport and port numbers ever claimed
        std::uint64_t living = 0;   // sockets claimed now
    };
    Totals totals() const;

private:
    void publish_locked();
    void tell_changes_locked();
    bool claim_locked(SocketInfo socket, Timestamp birth);
    void note_found_locked(const SocketInfo& socket);
    bool retire_locked(SocketCookie cookie, Timestamp death);
    bool release_locked(SocketCookie cookie, Timestamp death);
    bool succeed_locked(const SocketInfo& successor, Timestamp time);
    bool silence_locked(SocketCookie cookie, Timestamp silence);
    template <typename IsOver>
    bool silence_where(std::uint16_t port, Timestamp silence, IsOver is_over);
    void bury_locked(const Claim& released, Timestamp silence);
    void kill_locked(const Claim& claim, Timestamp death);

    struct Dead {
        Timestamp silence;
        Timestamp death;
        Transport transport;
        std::uint16_t port;
        SocketCookie cookie;
    };
    using Graveyard = std::deque<Dead>;  // oldest first

    const std::shared_ptr<PortFilter> filter_;
    const Timestamp memory_;
    std::atomic<bool> found_tcp_{false};

    mutable std::mutex mutex_;  // guards all below
    PortSet current_;
    Published<PortSet> snapshot_{mutex_, current_};
    std::unordered_map<SocketCookie, Claim> sockets_;   // the living
    std::unordered_map<SocketCookie, Claim> released_;  // closed, but packets of theirs may still wait to go out
    Graveyard dead_;                                    // no packets to come, or only errors about them
    Graveyard dead_tcp_;                                // these have an afterlife
    std::vector<std::string> changes_;                  // to be told when they are in force
    std::uint64_t last_window_ = 0;
    std::map<std::uint64_t, Claim> binds_;  // provisional claims of binds under way, by window
    Totals totals_;
    std::map<Transport, std::bitset<65536>> ports_ever_;
};

}  // namespace tracedump
