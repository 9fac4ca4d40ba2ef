// Values that are replaced as a whole: what load(), readers and waiters see of it.
#include "util/published.h"

#include <gtest/gtest.h>

#include <thread>

namespace tracedump {
namespace {

using namespace std::chrono_literals;

template <typename T>
struct Owner {
    std::mutex mutex;
    T value;
};

template <typename T>
class Owned : private Owner<T>, public Published<T> {
public:
    explicit Owned(T first) : Owner<T>{{}, std::move(first)}, Published<T>(Owner<T>::mutex, Owner<T>::value) {}

    void store(T next) {
        std::lock_guard lock(Owner<T>::mutex);
        Owner<T>::value = std::move(next);
        this->publish();
    }
};

TEST(Published, LoadGivesTheNewestAndOldPointersStay) {
    Owned<int> value(1);
    const auto old = value.load();
    value.store(2);
    EXPECT_EQ(*old, 1);
    EXPECT_EQ(*value.load(), 2);
}

TEST(Published, EachStoreIsANewGeneration) {
    Owned<int> value(1);
    const auto before = value.generation();
    value.store(1);
    EXPECT_EQ(value.generation(), before + 1);
}

TEST(Published, AReaderSeesEachStoreAtItsNextLook) {
    Owned<int> value(1);
    Published<int>::Reader reader(value);
    EXPECT_EQ(reader.get(), 1);
    value.store(2);
    EXPECT_EQ(reader.get(), 2);
    EXPECT_EQ(reader.generation(), value.generation());
}

TEST(Published, AReaderKeepsItsValueAlive) {
    Owned<std::string> value(std::string(100, 'x'));
    Published<std::string>::Reader reader(value);
    const std::string& held = reader.get();
    value.store("new");
    EXPECT_EQ(held, std::string(100, 'x'));  // until the next get()
}

TEST(Published, ChangesBetweenTwoLooksCostOneCopy) {
    struct Counting {
        explicit Counting(int* copies) : copies_(copies) {}
        Counting(const Counting& other) : copies_(other.copies_) { ++*copies_; }
        Counting& operator=(const Counting&) = default;
        int* copies_;
    };
    int copies = 0;
    Owner<Counting> owner{{}, Counting(&copies)};
    Published<Counting> value(owner.mutex, owner.value);
    copies = 0;
    for (int i = 0; i < 3; ++i) value.publish();
    Published<Counting>::Reader reader(value);
    const auto loaded = value.load();
    EXPECT_EQ(&reader.get(), loaded.get());
    EXPECT_EQ(copies, 1);
}

TEST(Published, WhatIsNotPublishedYetIsNotSeen) {
    Owner<int> owner{{}, 1};
    Published<int> value(owner.mutex, owner.value);
    owner.value = 2;
    EXPECT_EQ(*value.load(), 1);
    value.publish();
    EXPECT_EQ(*value.load(), 2);
}

TEST(Published, WaitNewerEndsAtOnceWhenThereIsOne) {
    Owned<int> value(1);
    const auto seen = value.generation();
    value.store(2);
    EXPECT_TRUE(value.wait_newer(seen, 0us));
}

TEST(Published, WaitNewerGivesUpAfterItsTimeout) {
    Owned<int> value(1);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(value.wait_newer(value.generation(), 5ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 5ms);
}

TEST(Published, WaitNewerIsWokenByAStore) {
    Owned<int> value(1);
    const auto seen = value.generation();
    std::thread other([&] { value.store(2); });
    EXPECT_TRUE(value.wait_newer(seen, 60s));
    EXPECT_EQ(*value.load(), 2);
    other.join();
}

TEST(Published, AReaderNeverSeesAValueOlderThanItsGeneration) {
    Owned<int> value(0);
    const auto first = value.generation();
    constexpr int kStores = 5000;
    std::thread writer([&] {
        for (int i = 1; i <= kStores; ++i) value.store(i);
    });
    Published<int>::Reader reader(value);
    for (int seen = 0; seen < kStores;) {
        seen = reader.get();
        ASSERT_EQ(reader.generation() - first, static_cast<std::uint64_t>(seen));
    }
    writer.join();
}

}  // namespace
}  // namespace tracedump
