#include "util/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>

namespace tracedump {

namespace log_detail {
std::atomic<int> level{-1};

namespace {
constexpr std::size_t kQueuedLines = 8192;
std::shared_ptr<spdlog::details::thread_pool> pool;
std::shared_ptr<spdlog::async_logger> logger;
}  // namespace

void write(std::string line) { logger->info(line); }
}  // namespace log_detail

void start_logging(int level) {
    using namespace log_detail;
    pool = std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1);
    logger = std::make_shared<spdlog::async_logger>("tracedump", std::make_shared<spdlog::sinks::stderr_sink_mt>(),
                                                    pool, spdlog::async_overflow_policy::overrun_oldest);
    logger->set_pattern(level >= 2 ? "%n: %H:%M:%S.%f %v" : "%n: %v");
    log_detail::level = level;
}

void finish_logging() {
    using namespace log_detail;
    log_detail::level = -1;
    pool.reset();
    // `logger` stays: a thread that is past the level check may still call it, which then drops the line.
}

}  // namespace tracedump
