// The capture thread: walks the ring's blocks, judges each packet by the newest snapshot, and hands what belongs to
// the application to the writer, a batch a block. Reads the ring, the snapshot and its mailbox; emits batches,
// counters and CaptureDrained. Never touches tracees, files or the registry's inside.
#pragma once

#include "capture/classifier.h"
#include "capture/duplicate_filter.h"
#include "capture/fragment_tracker.h"
#include "capture/packet.h"
#include "capture/ring.h"
#include "messages/counters.h"
#include "messages/packet_batch.h"
#include "messages/session_event.h"
#include "ports/port_set.h"
#include "util/published.h"

namespace tracedump {

/// To capture: judge all that has arrived up to now, then end.
struct DrainRing {};
using CaptureMailbox = Mailbox<DrainRing>;

class Capture {
public:
    /// All borrowed; they must outlive run().
    struct Links {
        PacketRing& ring;
        const Published<PortSet>& ports;
        CaptureMailbox& inbox;
        WriterQueue& writer;
        SessionMailbox& session;
        CaptureCounters& counters;
    };

    explicit Capture(const Links& links) : links_(links), ports_(links.ports) {}

    /// The thread's body: returns once it has drained.
    void run();

private:
    void take_block(RingBlock block);
    void take_packet(const PacketRef& packet, PacketBatch& batch);
    void keep(const PacketRef& packet, PacketBatch& batch);
    bool belongs(const ParsedPacket& parsed, const PacketRef& packet);
    void wait_for_block();

    Links links_;
    Published<PortSet>::Reader ports_;
    Classifier classifier_;
    FragmentTracker fragments_;
    DuplicateFilter duplicates_;
};

}  // namespace tracedump
