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
    /// Writes all of `bytes` or says how far it came. Writer thread.
    virtual Outcome write(std::span<const std::uint8_t> bytes) = 0;

    /// Takes back the last `bytes` that were written, so that no half record stays at the end. A sink that cannot
    /// (a pipe) leaves them: its reader has them already.
    virtual void take_back(std::size_t bytes) = 0;
};

}  // namespace tracedump
