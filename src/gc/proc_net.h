// /proc/net/{tcp,udp,udplite} and their IPv6 twins: the table of sockets where sock_diag is not to be had. It knows
// no cookies. proc(5), Documentation/networking/proc_net_tcp.rst. gc thread.
#pragma once

#include <string>
#include <string_view>

#include "gc/socket_table.h"

namespace tracedump {

class ProcNetTable : public SocketTable {
public:
    /// `folder` is /proc/net but in tests.
    explicit ProcNetTable(std::string folder = "/proc/net") : folder_(std::move(folder)) {}

    std::optional<std::vector<SocketRow>> list(Transport transport, std::span<const std::uint16_t> ports) override;
    std::optional<std::vector<SocketRow>> list_all() override;
    std::vector<SocketRow> list_closing() override;

private:
    std::string folder_;
};

/// One line of such a file; nothing for the heading and for what is not understood.
std::optional<SocketRow> parse_proc_net_line(std::string_view line, Transport transport);

}  // namespace tracedump
