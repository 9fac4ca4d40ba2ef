// The capture file, or standard output for "-". Opened by the session, written by the writer thread.
#pragma once

#include <string>

#include "util/fd.h"
#include "writer/byte_sink.h"

namespace tracedump {

class OutputFile : public ByteSink {
public:
    /// Opens `path`, or creates it (mode 0666 less the umask, as tcpdump does); "-" is standard output. What is in it
    /// stays until clear(), as long as it is not known that there will be a capture. Throws Error if it cannot be
    /// opened, or if standard output is a terminal.
    explicit OutputFile(const std::string& path);
    /// A file that was created, and never cleared to be written, goes.
    ~OutputFile() override;

    Outcome write(std::span<const std::uint8_t> bytes, Haste haste, Rest rest) override;
    bool has_units() const override { return can_pass_cache_; }
    std::size_t place_in_unit() const override;
    void clear() override;
    void take_back(std::size_t bytes) override;

private:
    // A smaller piece costs more CPU by O_DIRECT than through the page cache (docs/design.md, "What was measured").
    static constexpr std::size_t kLargePiece = 256 << 10;  // bytes

    bool passes_cache(std::span<const std::uint8_t> bytes, Haste haste) const;
    std::size_t write_past_cache(std::span<const std::uint8_t> bytes);
    Outcome write_all(std::span<const std::uint8_t> bytes);

    const std::string path_;
    bool created_ = false;
    UniqueFd fd_;
    bool can_pass_cache_ = false;  // a file of ours, on a file system that knows how, as far as is known
};

}  // namespace tracedump
