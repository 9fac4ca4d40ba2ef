#include "capture/filter_compiler.h"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "capture/packet.h"

namespace tracedump {

namespace {

/// Writes a BPF program from its end to its beginning. Jumps only lead forwards, so that every target is already
/// there when a jump to it is written; and a conditional jump, whose offsets have 8 bits, gets a trampoline when its
/// target is too far, which later jumps to the same target use too.
class BackwardAssembler {
public:
    /// An instruction's place, counted from the end of the program.
    using Label = std::size_t;

    Label statement(int code, std::uint32_t k) {
        reversed_.push_back(sock_filter{static_cast<std::uint16_t>(code), 0, 0, k});
        return here();
    }

    Label branch(int code, std::uint32_t k, Label yes, Label no) {
        yes = near(yes);
        no = near(no);
        yes = near(yes);  // a trampoline for `no` may have pushed `yes` out of reach
        reversed_.push_back(sock_filter{static_cast<std::uint16_t>(BPF_JMP | code | BPF_K),
                                        static_cast<std::uint8_t>(distance(yes)),
                                        static_cast<std::uint8_t>(distance(no)), k});
        return here();
    }

    /// Continue at `target`: nothing to write if it is the next instruction.
    Label go(Label target) {
        if (target == here()) return target;
        return statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(distance(target)));
    }

    Label here() const { return reversed_.size(); }

    std::vector<sock_filter> finish() && {
        std::reverse(reversed_.begin(), reversed_.end());
        return std::move(reversed_);
    }

private:
    /// What a jump offset in the instruction that is written next must be to reach `target`.
    std::size_t distance(Label target) const { return here() - target; }

    Label near(Label target) {
        constexpr std::size_t kReach = 255 - 2;  // two trampolines may come between
        if (distance(target) <= kReach) return target;
        const auto known = trampolines_.find(target);
        if (known != trampolines_.end() && distance(known->second) <= kReach) return known->second;
        const Label trampoline = statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(distance(target)));
        trampolines_[target] = trampoline;
        return trampoline;
    }

    std::vector<sock_filter> reversed_;
    std::map<Label, Label> trampolines_;
};

using Label = BackwardAssembler::Label;

/// Tests A against ranges: a search tree whose leaves are looked through one range after the other. What the kernel
/// takes to check, translate and compile an instruction is what a new port has to wait for; to run some more costs a
/// packet nearly nothing.
class MembershipTree {
public:
    MembershipTree(BackwardAssembler& out, std::span<const Range> ranges, Label member, Label stranger)
        : out_(out), member_(member), stranger_(stranger), ranges_(ranges) {}

    Label emit() { return emit(ranges_); }

private:
    static constexpr std::size_t kLeaf = 8;

    Label emit(std::span<const Range> ranges) {
        if (ranges.size() <= kLeaf) return emit_leaf(ranges);
        const std::size_t middle = ranges.size() / 2;
        const Label above = emit(ranges.subspan(middle));
        const Label below = emit(ranges.first(middle));
        return out_.branch(BPF_JGE, ranges[middle].first, above, below);
    }

    Label emit_leaf(std::span<const Range> ranges) {
        Label next = stranger_;
        for (auto range = ranges.rbegin(); range != ranges.rend(); ++range) {
            if (range->first == range->last) {
                next = out_.branch(BPF_JEQ, range->first, member_, next);
            } else {
                const Label reached = out_.branch(BPF_JGT, range->last, next, member_);
                next = out_.branch(BPF_JGE, range->first, reached, stranger_);
            }
        }
        return next;
    }

    BackwardAssembler& out_;
    const Label member_;
    const Label stranger_;
    const std::span<const Range> ranges_;
};

// Scratch memory: both ends of the packet.
enum Scratch : std::uint32_t { kSourcePort, kDestinationPort, kSourceAddress, kDestinationAddress };

constexpr std::uint32_t kTransports[] = {IPPROTO_UDPLITE, IPPROTO_UDP, IPPROTO_TCP};
constexpr std::uint32_t kExtensionHeaders[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT,
                                               IPPROTO_AH,      IPPROTO_DSTOPTS, IPPROTO_MH};

// "More fragments", or an offset: first fragments pass too, whatever their ports, so that the fate of the later ones is
// known at once.
constexpr std::uint32_t kAnyFragment = 0x3fff;

constexpr int kLoadWord = BPF_LD | BPF_W | BPF_ABS;
constexpr int kLoadHalf = BPF_LD | BPF_H | BPF_ABS;
constexpr int kLoadByte = BPF_LD | BPF_B | BPF_ABS;
constexpr auto ancillary(int field) { return static_cast<std::uint32_t>(SKF_AD_OFF + field); }

/// Code that continues at `yes` if `local_port` is in the set or the other end is a pending remote, else at `no`.
Label test_end(BackwardAssembler& out, const FilterSpec& spec, Scratch local_port, Scratch remote_port,
               Scratch remote_address, Label yes, Label no) {
    if (!spec.remotes.empty()) {
        out.go(MembershipTree(out, spec.remotes, yes, no).emit());
        // A = address ^ port << 16, as remote_key() has it.
        out.statement(BPF_ALU | BPF_XOR | BPF_X, 0);
        out.statement(BPF_LD | BPF_MEM, remote_address);
        out.statement(BPF_MISC | BPF_TAX, 0);
        out.statement(BPF_ALU | BPF_LSH | BPF_K, 16);
        no = out.statement(BPF_LD | BPF_MEM, remote_port);
    }
    out.go(MembershipTree(out, spec.ports, yes, no).emit());
    return out.statement(BPF_LD | BPF_MEM, local_port);
}

std::vector<sock_filter> assemble(const FilterSpec& spec, std::uint32_t snaplen, bool icmp_errors) {
    BackwardAssembler out;
    const Label reject = out.statement(BPF_RET | BPF_K, 0);
    if (spec.empty()) return std::move(out).finish();
    const Label accept = out.statement(BPF_RET | BPF_K, snaplen);

    // Which end is local? Outgoing: the sender's. Incoming: the receiver's. On the loopback, where only the
    // incoming copy gets here, either: the sender's is tested first, the receiver's after it.
    const Label incoming = test_end(out, spec, kDestinationPort, kSourcePort, kSourceAddress, accept, reject);
    out.branch(BPF_JEQ, PACKET_OUTGOING, reject, incoming);
    const Label not_sender = out.statement(kLoadWord, ancillary(SKF_AD_PKTTYPE));
    const Label sender = test_end(out, spec, kSourcePort, kDestinationPort, kDestinationAddress, accept, not_sender);
    out.branch(BPF_JEQ, ARPHRD_LOOPBACK, sender, incoming);
    const Label received = out.statement(kLoadHalf, ancillary(SKF_AD_HATYPE));
    out.branch(BPF_JEQ, PACKET_OUTGOING, sender, received);
    const Label ends_known = out.statement(kLoadWord, ancillary(SKF_AD_PKTTYPE));

    // IPv6: ports behind the fixed header, or an extension header, which the classifier walks, unless what follows the
    // first one shows that there are none: the kernel's own group reports (MLD) have an extension header.
    Label next = reject;
    for (const std::uint32_t extension : kExtensionHeaders) next = out.branch(BPF_JEQ, extension, accept, next);
    for (const std::uint32_t transport : kTransports) next = out.branch(BPF_JEQ, transport, accept, next);
    if (icmp_errors) next = out.branch(BPF_JEQ, IPPROTO_ICMPV6, accept, next);
    const Label extended = out.statement(kLoadByte, 40);
    out.go(ends_known);
    out.statement(BPF_ST, kDestinationAddress);
    out.statement(kLoadWord, 36);
    out.statement(BPF_ST, kSourceAddress);
    out.statement(kLoadWord, 20);
    out.statement(BPF_ST, kDestinationPort);
    out.statement(kLoadHalf, 42);
    out.statement(BPF_ST, kSourcePort);
    const Label ipv6_ports = out.statement(kLoadHalf, 40);
    next = reject;
    if (icmp_errors) {
        out.branch(BPF_JGE, kFirstIcmpv6Information, reject, accept);
        const Label type = out.statement(kLoadByte, 40);
        next = out.branch(BPF_JEQ, IPPROTO_ICMPV6, type, reject);
    }
    for (const std::uint32_t extension : kExtensionHeaders) next = out.branch(BPF_JEQ, extension, extended, next);
    for (const std::uint32_t transport : kTransports) next = out.branch(BPF_JEQ, transport, ipv6_ports, next);
    const Label ipv6 = out.statement(kLoadByte, 6);

    // IPv4: behind a header of variable length; fragments are the tracker's.
    out.go(ends_known);
    out.statement(BPF_ST, kDestinationAddress);
    out.statement(kLoadWord, 16);
    out.statement(BPF_ST, kSourceAddress);
    out.statement(kLoadWord, 12);
    out.statement(BPF_ST, kDestinationPort);
    out.statement(BPF_LD | BPF_H | BPF_IND, 2);
    out.statement(BPF_ST, kSourcePort);
    out.statement(BPF_LD | BPF_H | BPF_IND, 0);
    const Label ipv4_ports = out.statement(BPF_LDX | BPF_B | BPF_MSH, 0);
    out.branch(BPF_JSET, kAnyFragment, accept, ipv4_ports);
    const Label ipv4_transport = out.statement(kLoadHalf, 6);
    next = reject;
    if (icmp_errors) {
        for (const std::uint32_t error : kIcmpErrors) next = out.branch(BPF_JEQ, error, accept, next);
        out.statement(BPF_LD | BPF_B | BPF_IND, 0);
        out.statement(BPF_LDX | BPF_B | BPF_MSH, 0);
        const Label whole = out.here();
        out.branch(BPF_JSET, kAnyFragment, reject, whole);
        const Label icmp = out.statement(kLoadHalf, 6);
        next = out.branch(BPF_JEQ, IPPROTO_ICMP, icmp, reject);
    }
    for (const std::uint32_t transport : kTransports) next = out.branch(BPF_JEQ, transport, ipv4_transport, next);
    const Label ipv4 = out.statement(kLoadByte, 9);

    next = out.branch(BPF_JEQ, ETH_P_IPV6, ipv6, reject);
    out.branch(BPF_JEQ, ETH_P_IP, ipv4, next);
    const Label any_protocol = out.statement(kLoadHalf, ancillary(SKF_AD_PROTOCOL));

    // What the loopback is given to send it will receive: one of the two is enough.
    out.branch(BPF_JEQ, ARPHRD_LOOPBACK, reject, any_protocol);
    const Label outgoing = out.statement(kLoadHalf, ancillary(SKF_AD_HATYPE));
    out.branch(BPF_JEQ, PACKET_OUTGOING, outgoing, any_protocol);
    out.statement(kLoadWord, ancillary(SKF_AD_PKTTYPE));
    return std::move(out).finish();
}

bool covers(const Ranges& outer, const Ranges& inner) {
    auto candidate = outer.begin();
    for (const Range& range : inner) {
        while (candidate != outer.end() && candidate->last < range.first) ++candidate;
        if (candidate == outer.end() || candidate->first > range.first || candidate->last < range.last) return false;
    }
    return true;
}

bool contains(const Ranges& ranges, std::uint32_t value) {
    const auto after = std::upper_bound(ranges.begin(), ranges.end(), value,
                                        [](std::uint32_t v, const Range& r) { return v < r.first; });
    return after != ranges.begin() && std::prev(after)->last >= value;
}

/// Adds a value larger than all that are there.
void extend(Ranges& ranges, std::uint32_t value) {
    if (!ranges.empty() && ranges.back().last + std::uint64_t{1} == value)
        ranges.back().last = value;
    else
        ranges.push_back({value, value});
}

// With more remotes than this, connected sockets are told by their ports.
constexpr std::size_t kManyRemotes = 64;

}  // namespace

std::uint32_t remote_key(const Endpoint& remote) {
    return remote.address.low32() ^ static_cast<std::uint32_t>(remote.port) << 16;
}

FilterSpec FilterSpec::of(const PortSet& set) {
    std::set<std::uint32_t> keys;
    for (const PendingRemote& pending : set.pending()) keys.insert(remote_key(pending.remote));
    set.for_each_port([&](std::uint16_t, std::span<const Claim> claims) {
        for (const Claim& claim : claims)
            if (claim.socket.remote && keys.size() <= kManyRemotes) keys.insert(remote_key(*claim.socket.remote));
    });
    const bool by_remote = keys.size() <= kManyRemotes;
    if (!by_remote) {
        keys.clear();
        for (const PendingRemote& pending : set.pending()) keys.insert(remote_key(pending.remote));
    }

    FilterSpec spec;
    for (const std::uint32_t key : keys) extend(spec.remotes, key);
    set.for_each_port([&](std::uint16_t port, std::span<const Claim> claims) {
        const auto told_by_remote = [&](const Claim& claim) { return by_remote && claim.socket.remote.has_value(); };
        if (!std::all_of(claims.begin(), claims.end(), told_by_remote)) extend(spec.ports, port);
    });
    return spec;
}

bool FilterSpec::covers(const FilterSpec& other) const {
    return tracedump::covers(ports, other.ports) && tracedump::covers(remotes, other.remotes);
}

bool FilterSpec::covers(const Endpoint& remote) const { return contains(remotes, remote_key(remote)); }

bool FilterSpec::covers(std::uint16_t port, std::span<const Claim> claims) const {
    return contains(ports, port) || std::all_of(claims.begin(), claims.end(), [&](const Claim& claim) {
               return claim.socket.remote && covers(*claim.socket.remote);
           });
}

std::uint32_t FilterSpec::port_count() const {
    std::uint32_t count = 0;
    for (const Range& range : ports) count += range.last - range.first + 1;
    return count;
}

void widen(Ranges& ranges, std::size_t limit) {
    if (ranges.size() <= limit) return;
    // The gap before range i is ranges[i].first - ranges[i-1].last; the limit-1 largest stay open.
    std::vector<std::pair<std::uint32_t, std::size_t>> gaps;
    gaps.reserve(ranges.size() - 1);
    for (std::size_t i = 1; i < ranges.size(); ++i) gaps.emplace_back(ranges[i].first - ranges[i - 1].last, i);
    const auto close_count = static_cast<std::ptrdiff_t>(ranges.size() - limit);
    std::nth_element(gaps.begin(), gaps.begin() + (close_count - 1), gaps.end());
    std::vector<bool> closed(ranges.size(), false);
    for (auto gap = gaps.begin(); gap != gaps.begin() + close_count; ++gap) closed[gap->second] = true;
    Ranges widened;
    widened.reserve(limit);
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        if (closed[i])
            widened.back().last = ranges[i].last;
        else
            widened.push_back(ranges[i]);
    }
    ranges = std::move(widened);
}

FilterProgram compile_filter(FilterSpec spec, std::uint32_t snaplen, std::size_t max_instructions, bool icmp_errors) {
    // A port costs two instructions and a little, one for each end, a range of them twice as much: start from what can
    // fit, and go on from what it came to, so that a large set is not assembled often in vain.
    std::size_t limit = max_instructions / 2;
    for (;;) {
        widen(spec.ports, std::max<std::size_t>(limit, 1));
        widen(spec.remotes, std::max<std::size_t>(limit / 4, 1));
        auto instructions = assemble(spec, snaplen, icmp_errors);
        if (instructions.size() <= max_instructions) return {std::move(spec), std::move(instructions)};
        limit = std::min(spec.ports.size(), limit) * max_instructions / instructions.size() * 19 / 20;
    }
}

}  // namespace tracedump
