#include "writer/writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "util/error.h"

namespace tracedump {

namespace {

std::uint8_t* align(std::uint8_t* memory) {
    const auto beyond = reinterpret_cast<std::uintptr_t>(memory) % ByteSink::kUnit;
    return memory + (ByteSink::kUnit - beyond) % ByteSink::kUnit;
}

}  // namespace

Writer::Writer(Links links)
    : links_(std::move(links)),
      memory_(kPieceSize + Encoder::kLargestRecord + ByteSink::kUnit),
      piece_(align(memory_.data())) {}

void Writer::begin() {
    links_.sink.clear();
    began_ = realtime_now();
    end_ = static_cast<std::size_t>(links_.encoder->put_file_header(piece_) - piece_);
    flush();
    if (!failed_) whole_ = in_sink_;
}

void Writer::run() {
    for (;;) {
        WriterMessage message;
        if (!links_.queue.try_pop(message)) {
            if (!more_follows_) flush();  // idle: what we have is worth more in the file
            links_.queue.pop(message);
        }
        if (const auto* stop = std::get_if<StopWriting>(&message)) return finish(*stop);
        auto* batch = std::get_if<PacketBatch>(&message);
        more_follows_ = batch && batch->more_follows;
        if (batch) take(*batch);
    }
}

void Writer::take(PacketBatch& batch) {
    auto formed = links_.sink.has_units() && !failed_ ? links_.encoder->form_in_place(batch) : std::nullopt;
    if (formed)
        append_to_run(*std::move(formed), std::move(batch.block));
    else
        copy(batch);
}

void Writer::copy(const PacketBatch& batch) {
    flush_run();
    for (const PacketRef& packet : batch.packets) {
        if (failed_) {
            links_.counters.lost.fetch_add(1, std::memory_order_relaxed);
            continue;
        }
        end_ = static_cast<std::size_t>(links_.encoder->put_record(piece_ + end_, packet) - piece_);
        record_ends_.push_back(in_sink_ + (end_ - begin_));
        if (end_ >= kPieceSize) flush_piece(ByteSink::Rest::may_wait);
    }
}

/// Blocks that follow each other are one piece of memory, as long as each is full.
void Writer::append_to_run(FormedBlock block, BlockLease lease) {
    if (block.bytes.data() != run_.data() + run_.size()) flush_run();
    if (run_.empty()) {
        end_ = static_cast<std::size_t>(links_.encoder->put_filler(piece_ + end_, end_ % ByteSink::kUnit) - piece_);
        flush_piece(ByteSink::Rest::must_go);
    }
    if (failed_) {
        links_.counters.lost.fetch_add(block.record_ends.size(), std::memory_order_relaxed);
        return;
    }
    for (const std::uint32_t end : block.record_ends) record_ends_.push_back(in_sink_ + run_.size() + end);
    run_ = run_.empty() ? block.bytes : std::span(run_.data(), run_.size() + block.bytes.size());
    run_leases_.push_back(std::move(lease));
    const auto held = static_cast<std::ptrdiff_t>(run_leases_.size());
    if (run_.size() >= kRunSize || held >= links_.queue.capacity() / kHeld) flush_run();
}

void Writer::finish(const StopWriting& stop) {
    flush();
    if (failed_) return;
    const CaptureStatistics statistics{.began = began_,
                                       .ended = stop.ended,
                                       .received = stop.received,
                                       .dropped = stop.dropped,
                                       .written = links_.counters.written};
    end_ = static_cast<std::size_t>(links_.encoder->put_statistics(piece_ + end_, statistics) - piece_);
    flush();
}

ByteSink::Haste Writer::haste() {
    const auto now = std::chrono::steady_clock::now();
    if (now < in_haste_until_) return ByteSink::Haste::behind;
    if (links_.queue.size() <= links_.queue.capacity() / kBehind) return ByteSink::Haste::none;
    const bool again = now - in_haste_until_ < kLongHaste;
    haste_ = again ? std::min(haste_ * 2, kLongHaste) : kShortHaste;
    in_haste_until_ = now + haste_;
    return ByteSink::Haste::behind;
}

void Writer::flush() {
    flush_run();
    flush_piece(ByteSink::Rest::must_go);
}

void Writer::flush_piece(ByteSink::Rest rest) {
    if (end_ == begin_) return;
    const std::size_t written = write({piece_ + begin_, end_ - begin_}, rest);
    if (failed_) return;
    // What was left out goes to the front, to where the sink wants it.
    const std::size_t left = end_ - begin_ - written;
    const std::size_t place = links_.sink.place_in_unit();
    std::memmove(piece_ + place, piece_ + begin_ + written, left);
    begin_ = place;
    end_ = place + left;
}

void Writer::flush_run() {
    if (!run_.empty()) write(run_, ByteSink::Rest::must_go);
    run_ = {};
    run_leases_.clear();
}

/// Returns how much of it is in the sink. Whatever fails here is told, and nothing more is tried.
std::size_t Writer::write(std::span<const std::uint8_t> bytes, ByteSink::Rest rest) {
    const auto outcome = links_.sink.write(bytes, haste(), rest);
    in_sink_ += outcome.written;
    const auto first_left = std::upper_bound(record_ends_.begin(), record_ends_.end(), in_sink_);
    if (first_left != record_ends_.begin()) whole_ = *std::prev(first_left);
    links_.counters.written.fetch_add(static_cast<std::uint64_t>(first_left - record_ends_.begin()),
                                      std::memory_order_relaxed);
    record_ends_.erase(record_ends_.begin(), first_left);
    if (outcome.error != 0) fail(outcome.error);
    return outcome.written;
}

void Writer::fail(int error) {
    failed_ = true;
    begin_ = end_ = 0;
    links_.sink.take_back(in_sink_ - whole_);
    links_.counters.lost.fetch_add(record_ends_.size(), std::memory_order_relaxed);
    record_ends_.clear();
    if (error == EPIPE)
        links_.session.post(OutputClosed{});
    else
        links_.session.post(ThreadFailed{fmt::format("cannot write to {}: {}", links_.name, errno_text(error))});
}

}  // namespace tracedump
