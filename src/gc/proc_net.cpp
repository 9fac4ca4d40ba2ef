#include "gc/proc_net.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

namespace tracedump {

namespace {

/// "0100007F:0016" or its IPv6 form of 32 digits: 32-bit words as the CPU holds them, then the port.
std::optional<Endpoint> parse_endpoint(std::string_view text) {
    const auto colon = text.find(':');
    if (colon != 8 && colon != 32) return std::nullopt;
    std::array<std::uint8_t, 16> bytes{};
    for (std::size_t word = 0; word < colon / 8; ++word) {
        std::uint32_t value = 0;
        const char* first = text.data() + word * 8;
        if (const auto [end, error] = std::from_chars(first, first + 8, value, 16);
            error != std::errc{} || end != first + 8)
            return std::nullopt;
        std::memcpy(bytes.data() + word * 4, &value, 4);
    }
    Endpoint endpoint;
    endpoint.address = colon == 8 ? Address::v4(std::span<const std::uint8_t>(bytes).first<4>()) : Address::v6(bytes);
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data() + colon + 1, last, endpoint.port, 16);
    if (error != std::errc{} || end != last) return std::nullopt;
    return endpoint;
}

}  // namespace

std::optional<SocketRow> parse_proc_net_line(std::string_view line, Transport transport) {
    std::istringstream fields{std::string(line)};
    std::string slot, local_text, remote_text, state_text;
    if (!(fields >> slot >> local_text >> remote_text >> state_text)) return std::nullopt;
    const auto local = parse_endpoint(local_text);
    const auto remote = parse_endpoint(remote_text);
    unsigned state = 0;
    const auto [end, error] = std::from_chars(state_text.data(), state_text.data() + state_text.size(), state, 16);
    if (end != state_text.data() + state_text.size()) return std::nullopt;
    if (!local || !remote || error != std::errc{} || state == 0 || state > 13) return std::nullopt;
    return SocketRow{0, transport, static_cast<SocketState>(state), *local, *remote};
}

std::optional<std::vector<SocketRow>> ProcNetTable::list_all() {
    std::vector<SocketRow> rows;
    bool read_any = false;
    for (const Transport transport : {Transport::tcp, Transport::udp, Transport::udplite}) {
        for (const char* version : {"", "6"}) {
            std::ifstream file(folder_ + "/" + std::string(to_text(transport)) + version);
            read_any |= file.is_open();
            for (std::string line; std::getline(file, line);)
                if (const auto row = parse_proc_net_line(line, transport)) rows.push_back(*row);
        }
    }
    if (!read_any) return std::nullopt;
    return rows;
}

std::optional<std::vector<SocketRow>> ProcNetTable::list(Transport transport, std::span<const std::uint16_t> ports) {
    auto rows = list_all();
    if (rows)
        std::erase_if(*rows, [&](const SocketRow& row) {
            return row.transport != transport || !std::binary_search(ports.begin(), ports.end(), row.local.port);
        });
    return rows;
}

std::vector<SocketRow> ProcNetTable::list_closing() {
    auto rows = list_all().value_or(std::vector<SocketRow>());
    std::erase_if(rows, [](const SocketRow& row) {
        return row.transport != Transport::tcp ||
               (row.state != SocketState::fin_wait1 && row.state != SocketState::fin_wait2 &&
                row.state != SocketState::closing && row.state != SocketState::last_ack);
    });
    return rows;
}

}  // namespace tracedump
