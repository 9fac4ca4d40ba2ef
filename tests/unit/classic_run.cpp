#include "classic_run.h"

#include <pcap/bpf.h>

namespace tracedump::test {

struct ClassicRun::Code {
    std::vector<bpf_insn> instructions;
};

ClassicRun::ClassicRun(const FilterProgram& program, const Link& link) {
    Code code;
    for (const sock_filter& instruction : program.instructions) {
        bpf_insn copy{instruction.code, instruction.jt, instruction.jf, instruction.k};
        const bool absolute = BPF_CLASS(copy.code) == BPF_LD && BPF_MODE(copy.code) == BPF_ABS;
        if (absolute && copy.k == static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL))
            copy = {BPF_LD | BPF_IMM, 0, 0, link.ethertype};
        else if (absolute && copy.k == static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE))
            copy = {BPF_LD | BPF_IMM, 0, 0, link.packet_type};
        else if (absolute && copy.k == static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_HATYPE))
            copy = {BPF_LD | BPF_IMM, 0, 0, link.arphrd};
        code.instructions.push_back(copy);
    }
    code_ = std::make_shared<const Code>(std::move(code));
}

std::uint32_t ClassicRun::operator()(const Bytes& packet, std::size_t captured) const {
    return bpf_filter(code_->instructions.data(), packet.data(), static_cast<unsigned>(packet.size()),
                      static_cast<unsigned>(captured));
}

}  // namespace tracedump::test
