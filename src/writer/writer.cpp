#include "writer/writer.h"

#include <algorithm>
#include <cerrno>

#include "util/error.h"

namespace tracedump {

Writer::Writer(const Links& links, std::uint32_t snaplen)
    : links_(links), encoder_(snaplen), piece_(kPieceSize + PcapEncoder::kLargestRecord) {}

void Writer::begin() {
    links_.sink.clear();
    size_ = static_cast<std::size_t>(encoder_.put_file_header(piece_.data()) - piece_.data());
    flush();
}

void Writer::run() {
    for (;;) {
        WriterMessage message;
        if (!links_.queue.try_pop(message)) {
            flush();  // idle: what we have is worth more in the file
            links_.queue.pop(message);
        }
        if (std::holds_alternative<StopWriting>(message)) break;
        take(std::get<PacketBatch>(message));
    }
    flush();
}

void Writer::take(const PacketBatch& batch) {
    for (const PacketRef& packet : batch.packets) {
        if (failed_) {
            links_.counters.lost.fetch_add(1, std::memory_order_relaxed);
            continue;
        }
        size_ = static_cast<std::size_t>(encoder_.put_record(piece_.data() + size_, packet) - piece_.data());
        record_ends_.push_back(size_);
        if (size_ >= kPieceSize) flush();
    }
}

ByteSink::Haste Writer::haste() {
    const auto now = std::chrono::steady_clock::now();
    if (links_.queue.size() > links_.queue.capacity() / kBehind) in_haste_until_ = now + kHaste;
    return now < in_haste_until_ ? ByteSink::Haste::behind : ByteSink::Haste::none;
}

void Writer::flush() {
    if (size_ == 0) return;
    const auto outcome = links_.sink.write(std::span(piece_).first(size_), haste());
    if (outcome.error == 0)
        links_.counters.written.fetch_add(record_ends_.size(), std::memory_order_relaxed);
    else
        fail(outcome.error, outcome.written);
    size_ = 0;
    record_ends_.clear();
}

void Writer::fail(int error, std::size_t written) {
    failed_ = true;
    const auto first_lost = std::upper_bound(record_ends_.begin(), record_ends_.end(), written);
    const auto whole = static_cast<std::size_t>(first_lost - record_ends_.begin());
    links_.sink.take_back(written - (whole == 0 ? 0 : record_ends_[whole - 1]));
    links_.counters.written.fetch_add(whole, std::memory_order_relaxed);
    links_.counters.lost.fetch_add(record_ends_.size() - whole, std::memory_order_relaxed);
    if (error == EPIPE)
        links_.session.post(OutputClosed{});
    else
        links_.session.post(ThreadFailed{fmt::format("cannot write to {}: {}", links_.name, errno_text(error))});
}

}  // namespace tracedump
