#include "app/kernel_side.h"

#include "capture/classic_filter.h"
#include "capture/ebpf_filter.h"
#include "hooks/hook_sensor.h"
#include "util/error.h"
#include "util/log.h"

namespace tracedump {

namespace {

[[noreturn]] void refuse_bpf_sensor(const Error& why) { throw Error(fmt::format("no bpf sensor: {}", why.what())); }

/// Null if there is to be the classic engine.
std::unique_ptr<EbpfFilter> make_ebpf_filter(const Options& options, std::uint32_t snaplen) {
    if (options.filter == FilterChoice::classic) return nullptr;
    try {
        return std::make_unique<EbpfFilter>(snaplen, options.icmp);
    } catch (const Error& error) {
        if (options.filter == FilterChoice::ebpf) throw;
        if (options.sensor == SensorChoice::bpf) refuse_bpf_sensor(error);
        log_engine("filter: classic, since {}", error.what());
        return nullptr;
    }
}

/// Null if there is to be the ptrace sensor.
std::unique_ptr<SocketHooks> make_hooks(const Options& options, const EbpfFilter* filter) {
    if (options.sensor == SensorChoice::ptrace) return nullptr;
    try {
        if (!filter) throw Error("the classic filter has no table for hooks to write into");
        auto hooks = std::make_unique<SocketHooks>(filter->ports_map());
        log_engine("sensor: bpf, with hooks on {}", hooks->cgroup());
        return hooks;
    } catch (const Error& error) {
        if (options.sensor == SensorChoice::bpf) refuse_bpf_sensor(error);
        log_engine("sensor: ptrace, since {}", error.what());
        return nullptr;
    }
}

}  // namespace

KernelSide::KernelSide(const Options& options, std::uint32_t snaplen) {
    auto ebpf = make_ebpf_filter(options, snaplen);
    hooks = make_hooks(options, ebpf.get());
    if (ebpf) {
        ports = &ebpf->ports();
        filters = std::move(ebpf);
    } else {
        filters = std::make_unique<ClassicEngine>(snaplen, options.icmp);
    }
}

std::unique_ptr<SocketNews> make_news(KernelSide& kernel, Networks& networks, GcMailbox& gc, MonitorInbox& monitor) {
    if (!kernel.hooks) return std::make_unique<SocketNews>();
    return std::make_unique<HookSensor>(HookSensor::Links{*kernel.hooks, *kernel.ports, networks, gc, monitor});
}

}  // namespace tracedump
