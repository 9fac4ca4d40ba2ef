#include "ports/socket.h"

#include <fmt/format.h>

namespace tracedump {

std::string to_text(const SocketInfo& socket) {
    std::string text = fmt::format("{} {}", to_text(socket.transport), to_text(socket.local));
    if (socket.remote) text += " > " + to_text(*socket.remote);
    return text;
}

}  // namespace tracedump
