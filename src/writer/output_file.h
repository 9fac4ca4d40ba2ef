// The capture file, or standard output for "-". Opened by the session, written by the writer thread.
#pragma once

#include <string>

#include "util/fd.h"
#include "writer/byte_sink.h"

namespace tracedump {

class OutputFile : public ByteSink {
public:
    /// Creates or truncates `path` (mode 0666 less the umask, as tcpdump does); "-" is standard output.
    /// Throws Error if it cannot be opened, or if standard output is a terminal.
    explicit OutputFile(const std::string& path);

    Outcome write(std::span<const std::uint8_t> bytes) override;
    void take_back(std::size_t bytes) override;

private:
    UniqueFd fd_;
};

}  // namespace tracedump
