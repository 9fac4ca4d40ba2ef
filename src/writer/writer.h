// The writer thread: takes batches from its queue, encodes them, and writes the file in large pieces: packets copied
// together, or, where the format allows and a file takes it, blocks of the ring as they lie there. Emits counters, and
// to the session a failure (full disk) or that the pipe's reader is gone. Never touches the ring but through the
// batches' leases, nor anything that decides what is captured.
//
// Whenever the writer is idle, and at the end whatever happened, the file ends with a whole record; while packets pour
// in, the last one may still lack its end. After a failed write nothing more is tried: packets from then on are counted
// as lost, and the queue is kept empty, so that the ring, the application and the end go on as ever.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "messages/counters.h"
#include "messages/packet_batch.h"
#include "messages/session_event.h"
#include "writer/byte_sink.h"
#include "writer/encoder.h"

namespace tracedump {

class Writer {
public:
    /// All but the encoder borrowed; they must outlive run(). `name` is the file's, for messages.
    struct Links {
        std::unique_ptr<const Encoder> encoder;
        ByteSink& sink;
        WriterQueue& queue;
        SessionMailbox& session;
        WriterCounters& counters;
        std::string name;
    };

    explicit Writer(Links links);

    /// Writes the file's header, so that an empty capture is a valid file too. On the session's thread, before run().
    void begin();

    /// The thread's body: returns after StopWriting, with everything written.
    void run();

private:
    // Writing less at a time costs more CPU than encoding does; more gains nothing (docs/design.md, facts).
    static constexpr std::size_t kPieceSize = 1 << 20;

    // Of blocks as they lie in the ring, 2 MiB cost 5 % less than 1 MiB, 4 MiB no less; but never so much of the ring.
    static constexpr std::size_t kRunSize = 2 << 20;
    static constexpr std::ptrdiff_t kHeld = 8;  // an eighth

    // Behind by so much of the ring, the disk is to be waited for as little as can be: until what has piled up is
    // written, and each time longer, since a disk that was too slow once is likely to be so again.
    static constexpr std::ptrdiff_t kBehind = 4;  // a fourth
    static constexpr std::chrono::milliseconds kShortHaste{20};
    static constexpr std::chrono::milliseconds kLongHaste{10'000};

    void take(PacketBatch& batch);
    void copy(const PacketBatch& batch);
    void append_to_run(FormedBlock block, BlockLease lease);
    void finish(const StopWriting& stop);
    void flush();
    void flush_piece(ByteSink::Rest rest);
    void flush_run();
    std::size_t write(std::span<const std::uint8_t> bytes, ByteSink::Rest rest);
    ByteSink::Haste haste();
    void fail(int error);

    Links links_;
    // Of piece and run at most one has something to be written.
    std::vector<std::uint8_t> memory_;   // a piece, as much as a last record may need beyond, and what aligning takes
    std::uint8_t* const piece_;          // in memory_, where a unit of the sink begins
    std::size_t begin_ = 0, end_ = 0;    // of what is to be written, in piece_
    bool more_follows_ = false;          // at once, so that what there is may wait for it
    std::span<const std::uint8_t> run_;  // formed blocks that lie one after the other in a ring
    std::vector<BlockLease> run_leases_;
    Timestamp began_ = 0;
    // Counted from the file's beginning:
    std::uint64_t in_sink_ = 0;              // bytes
    std::uint64_t whole_ = 0;                // the end of the last whole record of those
    std::deque<std::uint64_t> record_ends_;  // beyond it
    std::chrono::steady_clock::time_point in_haste_until_{};
    std::chrono::milliseconds haste_ = kShortHaste;  // the next one lasts so long
    bool failed_ = false;
};

}  // namespace tracedump
