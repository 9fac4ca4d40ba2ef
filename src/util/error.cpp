#include "util/error.h"

#include <cctype>
#include <cstring>

namespace tracedump {

std::string errno_text(int error) {
    char buffer[128];
    // The GNU strerror_r: it may return a static text instead of filling the buffer.
    std::string text = strerror_r(error, buffer, sizeof buffer);
    // "No such process" reads on after a colon; "RPC: ..." and the like keep their capitals.
    if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])))
        text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
    return text;
}

void throw_errno(int error, std::string_view what) { throw Error(fmt::format("{}: {}", what, errno_text(error))); }

}  // namespace tracedump
