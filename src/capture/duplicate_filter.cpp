#include "capture/duplicate_filter.h"

#include <algorithm>
#include <cstring>

namespace tracedump {

namespace {

// Both headers, options and a little of what follows. Packets that differ only further on are counted together, which
// changes nothing: each device sees as many of them.
constexpr std::size_t kHashedBytes = 96;

std::uint64_t word_at(std::span<const std::uint8_t> data, std::size_t at) {
    std::uint64_t word = 0;
    if (at + sizeof word <= data.size()) {
        std::memcpy(&word, data.data() + at, sizeof word);
    } else if (at < data.size()) {
        std::memcpy(&word, data.data() + at, data.size() - at);
    }
    return word;
}

/// Mixes sixteen bytes at a time, by multiplication and folding; the packets are not chosen against us, and a collision
/// only counts two kinds together.
std::uint64_t hash_of(std::span<const std::uint8_t> data, std::uint32_t length) {
    std::uint64_t hash = 0x9e3779b97f4a7c15ULL ^ length;
    data = data.first(std::min(data.size(), kHashedBytes));
    for (std::size_t at = 0; at < data.size(); at += 16) {
        __extension__ using Wide = unsigned __int128;
        const Wide product =
            static_cast<Wide>(hash ^ word_at(data, at)) * (0xd6e8feb86659fd93ULL ^ word_at(data, at + 8));
        hash = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
    return hash;
}

}  // namespace

std::array<DuplicateFilter::Seen, DuplicateFilter::kDevices>& DuplicateFilter::kind_of(std::uint64_t hash,
                                                                                       Timestamp time) {
    Set& set = sets_[(hash >> 32) % kSets];
    const auto known = std::find(set.hashes.begin(), set.hashes.end(), hash);
    const auto way = static_cast<std::size_t>(
        known != set.hashes.end() ? known - set.hashes.begin()
                                  : std::min_element(set.last.begin(), set.last.end()) - set.last.begin());
    if (known == set.hashes.end() || set.last[way] + kWindow < time) {
        set.hashes[way] = hash;
        set.seen[way] = {};
    }
    set.last[way] = time;
    return set.seen[way];
}

/// Whether this device has now seen fewer or as many packets of this hash as another has.
bool DuplicateFilter::count(std::uint64_t hash, DeviceId device, Timestamp time) {
    auto& kind = kind_of(hash, time);
    auto here = std::find_if(kind.begin(), kind.end(), [&](const Seen& s) { return s.device == device; });
    if (here == kind.end()) here = std::find_if(kind.begin(), kind.end(), [](const Seen& s) { return s.device == 0; });
    if (here == kind.end()) return false;
    std::uint32_t most_elsewhere = 0;
    for (auto seen = kind.begin(); seen != kind.end(); ++seen)
        if (seen != here) most_elsewhere = std::max(most_elsewhere, seen->count);
    here->device = device;
    return ++here->count <= most_elsewhere;
}

void DuplicateFilter::on_other_device(DeviceId device, Timestamp time) {
    if (latest_ != 0) {
        sets_.resize(kSets);
        for (std::size_t i = 0; i < notes_.size(); ++i) {
            const Note& note = notes_[(oldest_note_ + i) % notes_.size()];
            if (note.time + kWindow >= time) count(note.hash, latest_, note.time);
        }
        notes_.clear();
        oldest_note_ = 0;
        shared_until_ = time + kWindow;
    }
    latest_ = device;
}

bool DuplicateFilter::is_duplicate(std::span<const std::uint8_t> data, std::uint32_t original_length, DeviceId device,
                                   Timestamp time) {
    const std::uint64_t hash = hash_of(data, original_length);
    if (device != latest_) on_other_device(device, time);
    if (time <= shared_until_) return count(hash, device, time);
    if (notes_.size() < kNotes) {
        notes_.push_back({hash, time});
    } else {
        notes_[oldest_note_] = {hash, time};
        oldest_note_ = (oldest_note_ + 1) % kNotes;
    }
    return false;
}

}  // namespace tracedump
