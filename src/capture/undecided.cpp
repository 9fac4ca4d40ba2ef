#include "capture/undecided.h"

namespace tracedump {

void UndecidedPackets::hold(const PacketRef& packet, const ParsedPacket& parsed, Clock::time_point now) {
    packets_.push_back({HeldPacket(packet), parsed, now});
    bytes_ += packets_.back().packet.size();
    while (bytes_ > kMaxBytes) give_up_oldest();
}

void UndecidedPackets::give_up_oldest() {
    bytes_ -= packets_.front().packet.size();
    packets_.pop_front();
    ++given_up_;
}

void UndecidedPackets::give_up_old(Clock::time_point now) {
    while (!packets_.empty() && packets_.front().since + kPatience < now) give_up_oldest();
}

void UndecidedPackets::give_up_all() {
    while (!packets_.empty()) give_up_oldest();
}

}  // namespace tracedump
