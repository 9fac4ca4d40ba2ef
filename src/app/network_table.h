// The networks under capture, each with a ring, a filter and a registry of its own: the first when the session begins,
// the others when a tracee first uses a socket there. A network that the application has left is let go, since a packet
// socket keeps a network namespace, with its devices, in existence.
//
// What Networks has runs on any thread, all else on the main thread; one mutex keeps them apart. Whoever uses a ring or
// a registry shares its ownership.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "capture/capture.h"
#include "capture/conntrack.h"
#include "capture/filter_engine.h"
#include "capture/local_routes.h"
#include "hooks/socket_hooks.h"
#include "messages/gc_message.h"
#include "ports/networks.h"
#include "ports/socket_inquiry.h"
#include "ports/socket_news.h"
#include "util/error.h"

namespace tracedump {

class NetworkTable : public Networks {
public:
    struct Settings {
        std::size_t ring_mebibytes = 64;  // of each network
        bool icmp_errors = false;         // keep those that quote packets of the application
        bool launched = false;            // the application began with us: hooks, if there are any, have seen it all
    };
    /// Borrowed.
    struct Links {
        CaptureMailbox& capture;
        GcMailbox& gc;
        FilterEngine& filters;
        SocketHooks* hooks;  // if there are any: they want to know what is captured
    };

    NetworkTable(const Settings& settings, const Links& links) : settings_(settings), links_(links) {}

    /// The network of process `target`, or without one our own. Throws Error.
    void open_first(std::optional<pid_t> target);

    std::shared_ptr<PortRegistry> of(NetworkId id, int socket) override;
    std::shared_ptr<PortRegistry> find(NetworkId id) override;
    std::optional<bool> is_v6_only(NetworkId id, const SocketInfo& socket) override;
    void visit(pid_t pid, pid_t tid) override;

    /// gc finds nothing of the application in a network: begin to leave it, unless that has changed by what `news`
    /// there are.
    void leave(NetworkId id, SocketNews& news);

    /// capture has left it.
    void left(NetworkId id);

    /// Takes what the kernel has counted; see PacketRing::statistics().
    void count_packets();

    struct Totals {
        PacketRing::Statistics ring;
        PortRegistry::Totals ports;
    };
    /// Of all networks, those that were left included.
    Totals totals();

private:
    using Clock = std::chrono::steady_clock;

    struct Network {
        Network(const Settings& settings, FilterEngine& filters);

        PacketRing ring;
        PortRegistry registry;
        LocalRoutes addresses;
        Conntrack translations;
        SocketInquiry inquiry;
        const NetworkId id;
        std::uint64_t inode = 0;  // of its namespace; 0: not known
        Clock::time_point last_used;
    };

    void open_locked(bool home, std::uint64_t inode);
    bool rests(NetworkId id) const;
    void refuse(std::uint64_t name, const Error& error);
    std::shared_ptr<PortRegistry> use_locked(const std::shared_ptr<Network>& network);
    std::shared_ptr<PortRegistry> registry_of(const std::shared_ptr<Network>& network) const;

    const Settings settings_;
    const Links links_;
    std::mutex mutex_;  // guards all below
    NetworkId first_ = 0;
    std::map<NetworkId, std::shared_ptr<Network>> open_;
    std::multimap<NetworkId, std::shared_ptr<Network>> leaving_;
    // Networks that could not be opened, by id, or by inode where it is not known, and when each may be tried again.
    // (An inode is no id: its number is soon another network's.)
    std::unordered_map<std::uint64_t, Clock::time_point> refused_;
    Totals past_;
};

}  // namespace tracedump
