#include "util/libbpf.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <string_view>

#include "util/log.h"

namespace tracedump {

namespace {

__attribute__((format(printf, 2, 0))) int to_log(libbpf_print_level level, const char* format, va_list arguments) {
    if (level == LIBBPF_DEBUG) return 0;
    char line[1024];
    const int length = std::vsnprintf(line, sizeof line, format, arguments);
    std::string_view text(line);
    while (text.ends_with('\n')) text.remove_suffix(1);
    log_engine("{}", text);
    return length;
}

}  // namespace

void quiet_libbpf() { libbpf_set_print(to_log); }

MemlockLimitKept::MemlockLimitKept() : known_(getrlimit(RLIMIT_MEMLOCK, &found_) == 0) {}

MemlockLimitKept::~MemlockLimitKept() {
    if (known_) setrlimit(RLIMIT_MEMLOCK, &found_);
}

}  // namespace tracedump
