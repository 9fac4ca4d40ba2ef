// The writer thread: takes batches from its queue, encodes them, and writes the file in large pieces. Emits counters,
// and to the session a failure (full disk) or that the pipe's reader is gone. Never touches the ring but through the
// batches' leases, nor anything that decides what is captured.
//
// Whatever happens, the file ends with a whole record. After a failed write nothing more is tried: packets from then
// on are counted as lost, and the queue is kept empty, so that the ring, the application and the end go on as ever.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "messages/counters.h"
#include "messages/packet_batch.h"
#include "messages/session_event.h"
#include "writer/byte_sink.h"
#include "writer/pcap_encoder.h"

namespace tracedump {

class Writer {
public:
    /// All borrowed; they must outlive run(). `name` is the file's, for messages.
    struct Links {
        ByteSink& sink;
        WriterQueue& queue;
        SessionMailbox& session;
        WriterCounters& counters;
        std::string name;
    };

    Writer(const Links& links, std::uint32_t snaplen);

    /// Writes the file's header, so that an empty capture is a valid file too. On the session's thread, before run().
    void begin();

    /// The thread's body: returns after StopWriting, with everything written.
    void run();

private:
    // Writing less at a time costs more CPU than encoding does; more gains nothing (docs/design.md, facts).
    static constexpr std::size_t kPieceSize = 1 << 20;

    // Behind by so much of the ring, the disk is to be waited for as little as can be: for a while, since a disk that
    // was too slow once is likely to be so again.
    static constexpr std::ptrdiff_t kBehind = 4;  // a fourth
    static constexpr std::chrono::seconds kHaste{10};

    void take(const PacketBatch& batch);
    ByteSink::Haste haste();
    void flush();
    void fail(int error, std::size_t written);

    Links links_;
    PcapEncoder encoder_;
    std::vector<std::uint8_t> piece_;       // of kPieceSize, and as much as a last record may need beyond
    std::size_t size_ = 0;                  // bytes of piece_ that are to be written
    std::vector<std::size_t> record_ends_;  // in piece_
    std::chrono::steady_clock::time_point in_haste_until_{};
    bool failed_ = false;
};

}  // namespace tracedump
