// NETLINK_SOCK_DIAG: the table of sockets, and the multicast of their deaths (sock_diag(7)). gc thread.
#pragma once

#include <vector>

#include "gc/socket_table.h"
#include "util/netlink.h"

namespace tracedump {

class SockDiagTable : public SocketTable {
public:
    /// Throws Error if the kernel has no sock_diag or it is forbidden here.
    SockDiagTable();

    std::optional<std::vector<SocketRow>> list(Transport transport, std::span<const std::uint16_t> ports) override;
    std::optional<std::vector<SocketRow>> list_all() override;
    std::vector<SocketRow> list_closing() override;
    std::vector<SocketRow> list_flows(std::span<const std::uint16_t> ports) override;
    std::vector<SocketRow> list_all_flows() override;

private:
    struct Wanted;
    bool dump(int protocol, int family, const Wanted& wanted, std::vector<SocketRow>& rows);
    std::vector<SocketRow> flows(Wanted wanted);

    NetlinkSocket socket_;
};

/// Hears every socket of a transport and of the network namespace die.
class SocketDeaths {
public:
    /// Throws Error.
    SocketDeaths();

    /// From now on. They throw Error without CAP_NET_ADMIN.
    void hear_udp();
    void hear_tcp();
    bool hears_udp() const { return hears_udp_; }
    bool hears_tcp() const { return hears_tcp_; }

    /// Readable when deaths wait.
    int fd() const;

    struct Heard {
        std::vector<SocketRow> dead;
        bool lost_some = false;  // the kernel had more than we took in time: only a sweep finds the rest
    };
    /// All that waits now.
    Heard take();

private:
    void join(std::initializer_list<int> groups);

    NetlinkSocket socket_;
    bool hears_udp_ = false, hears_tcp_ = false;
};

}  // namespace tracedump
