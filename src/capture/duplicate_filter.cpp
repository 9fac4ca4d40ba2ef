#include "capture/duplicate_filter.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <type_traits>

namespace tracedump {

namespace {

// Both headers, options and a little of what follows. Packets that differ only further on are counted together, which
// changes nothing: each device sees as many of them.
constexpr std::size_t kHashedBytes = 96;

/// Mixes eight bytes at a time, by multiplication and folding; the packets are not chosen against us, and a collision
/// only counts two kinds together.
std::uint64_t hash_of(std::span<const std::uint8_t> data, std::uint32_t length) {
    std::uint64_t hash = 0x9e3779b97f4a7c15ULL ^ length;
    const std::size_t size = std::min(data.size(), kHashedBytes);
    for (std::size_t at = 0; at < size; at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, data.data() + at, std::min<std::size_t>(8, size - at));
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(hash ^ word) * 0xd6e8feb86659fd93ULL;
        hash = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
    return hash;
}

}  // namespace

DuplicateFilter::DuplicateFilter() : kinds_(static_cast<Kind*>(std::calloc(kSets * kWays, sizeof(Kind))), std::free) {
    static_assert(std::is_aggregate_v<Kind> && std::is_trivially_destructible_v<Kind>);  // begins to live in calloc
    if (!kinds_) throw std::bad_alloc();
}

DuplicateFilter::Kind& DuplicateFilter::kind_of(std::uint64_t hash, Timestamp time) {
    Kind* const set = &kinds_[(hash >> 32) % kSets * kWays];
    Kind* const end = set + kWays;
    Kind* const known = std::find_if(set, end, [&](const Kind& kind) { return kind.hash == hash; });
    Kind* const kind =
        known != end ? known : std::min_element(set, end, [](const Kind& a, const Kind& b) { return a.last < b.last; });
    if (known == end || kind->last + kWindow < time) *kind = Kind{hash, time, {}};
    kind->last = time;
    return *kind;
}

bool DuplicateFilter::is_duplicate(std::span<const std::uint8_t> data, std::uint32_t original_length, DeviceId device,
                                   Timestamp time) {
    Kind& kind = kind_of(hash_of(data, original_length), time);
    auto here = std::find_if(kind.seen.begin(), kind.seen.end(), [&](const Seen& s) { return s.device == device; });
    if (here == kind.seen.end())
        here = std::find_if(kind.seen.begin(), kind.seen.end(), [](const Seen& s) { return s.device == 0; });
    if (here == kind.seen.end()) return false;
    std::uint32_t most_elsewhere = 0;
    for (auto seen = kind.seen.begin(); seen != kind.seen.end(); ++seen)
        if (seen != here) most_elsewhere = std::max(most_elsewhere, seen->count);
    here->device = device;
    return ++here->count <= most_elsewhere;
}

}  // namespace tracedump
