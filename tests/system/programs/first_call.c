// Its first system call connects descriptor 3 to 10.77.0.2, port 7000, its second ends it: with 0, or connect's errno.
// Without libc, whose own calls would come first.
#if defined(__x86_64__)
enum { CONNECT = 42, EXIT_GROUP = 231 };
static long call(long number, long one, long two, long three) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(one), "S"(two), "d"(three) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { CONNECT = 203, EXIT_GROUP = 94 };
static long call(long number, long one, long two, long three) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = one;
    register long x1 __asm__("x1") = two;
    register long x2 __asm__("x2") = three;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
#endif

static const struct {
    unsigned short family;
    unsigned char port[2], address[4], zero[8];
} sink = {2, {7000 / 256, 7000 % 256}, {10, 77, 0, 2}, {0}};

void _start(void) {
    call(EXIT_GROUP, -call(CONNECT, 3, (long)&sink, sizeof sink), 0, 0);
    __builtin_unreachable();
}
