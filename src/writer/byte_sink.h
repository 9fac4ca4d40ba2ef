// Where encoded bytes go. The file of a capture, or in tests a buffer that can be full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tracedump {

class ByteSink {
public:
    virtual ~ByteSink() = default;

    struct Outcome {
        std::size_t written = 0;  // bytes of the span that are in the sink
        int error = 0;            // errno of the write that failed, 0 if all was written
    };
    /// How a piece is to be written: with as little CPU as can be, though that may wait for the disk, or waiting for
    /// the disk as little as can be.
    enum class Haste : std::uint8_t { none, behind };

    /// More follows at once, or what there is shall be in the sink now.
    enum class Rest : std::uint8_t { may_wait, must_go };

    /// Writes all of `bytes` or says how far it came; if the rest may wait, less than a unit of it may be left out, to
    /// be given again. Writer thread.
    virtual Outcome write(std::span<const std::uint8_t> bytes, Haste haste, Rest rest) = 0;

    /// Whether pieces that begin and end with its units are of use to it.
    virtual bool has_units() const = 0;

    /// How much of its unit the sink's last one has: where in one the next byte is best placed in memory.
    virtual std::size_t place_in_unit() const = 0;
    static constexpr std::size_t kUnit = 4096;  // bytes; what O_DIRECT wants, almost everywhere (open(2))

    /// Empties it, if it can be: of a file, what was there before. Any thread, before the first write.
    virtual void clear() = 0;

    /// Takes back the last `bytes` that were written, so that no half record stays at the end. A sink that cannot
    /// (a pipe) leaves them: its reader has them already.
    virtual void take_back(std::size_t bytes) = 0;
};

}  // namespace tracedump
