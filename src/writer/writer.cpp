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

Writer::Writer(const Links& links, std::uint32_t snaplen)
    : links_(links),
      encoder_(snaplen),
      memory_(kPieceSize + PcapEncoder::kLargestRecord + ByteSink::kUnit),
      piece_(align(memory_.data())) {}

void Writer::begin() {
    links_.sink.clear();
    end_ = static_cast<std::size_t>(encoder_.put_file_header(piece_) - piece_);
    flush(ByteSink::Rest::must_go);
    if (!failed_) whole_ = in_sink_;
}

void Writer::run() {
    for (;;) {
        WriterMessage message;
        if (!links_.queue.try_pop(message)) {
            flush(ByteSink::Rest::must_go);  // idle: what we have is worth more in the file
            links_.queue.pop(message);
        }
        if (std::holds_alternative<StopWriting>(message)) break;
        take(std::get<PacketBatch>(message));
    }
    flush(ByteSink::Rest::must_go);
}

void Writer::take(const PacketBatch& batch) {
    for (const PacketRef& packet : batch.packets) {
        if (failed_) {
            links_.counters.lost.fetch_add(1, std::memory_order_relaxed);
            continue;
        }
        end_ = static_cast<std::size_t>(encoder_.put_record(piece_ + end_, packet) - piece_);
        record_ends_.push_back(in_sink_ + (end_ - begin_));
        if (end_ >= kPieceSize) flush(ByteSink::Rest::may_wait);
    }
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

void Writer::flush(ByteSink::Rest rest) {
    if (end_ == begin_) return;
    const auto outcome = links_.sink.write({piece_ + begin_, end_ - begin_}, haste(), rest);
    in_sink_ += outcome.written;
    const auto first_left = std::upper_bound(record_ends_.begin(), record_ends_.end(), in_sink_);
    if (first_left != record_ends_.begin()) whole_ = *std::prev(first_left);
    links_.counters.written.fetch_add(static_cast<std::uint64_t>(first_left - record_ends_.begin()),
                                      std::memory_order_relaxed);
    record_ends_.erase(record_ends_.begin(), first_left);
    if (outcome.error != 0) return fail(outcome.error);
    // What was left out goes to the front, to where the sink wants it.
    const std::size_t left = end_ - begin_ - outcome.written;
    const std::size_t place = links_.sink.place_in_unit();
    std::memmove(piece_ + place, piece_ + begin_ + outcome.written, left);
    begin_ = place;
    end_ = place + left;
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
