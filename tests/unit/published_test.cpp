// Values that are replaced as a whole: what load(), readers and waiters see of it.
#include "util/published.h"

#include <gtest/gtest.h>

#include <thread>

namespace tracedump {
namespace {

using namespace std::chrono_literals;

TEST(Published, LoadGivesTheNewestAndOldPointersStay) {
    Published<int> value(std::make_shared<const int>(1));
    const auto old = value.load();
    value.store(std::make_shared<const int>(2));
    EXPECT_EQ(*old, 1);
    EXPECT_EQ(*value.load(), 2);
}

TEST(Published, EachStoreIsANewGeneration) {
    Published<int> value(std::make_shared<const int>(1));
    const auto before = value.generation();
    value.store(std::make_shared<const int>(1));
    EXPECT_EQ(value.generation(), before + 1);
}

TEST(Published, AReaderSeesEachStoreAtItsNextLook) {
    Published<int> value(std::make_shared<const int>(1));
    Published<int>::Reader reader(value);
    EXPECT_EQ(reader.get(), 1);
    value.store(std::make_shared<const int>(2));
    EXPECT_EQ(reader.get(), 2);
    EXPECT_EQ(reader.generation(), value.generation());
}

TEST(Published, AReaderKeepsItsValueAlive) {
    Published<std::string> value(std::make_shared<const std::string>(100, 'x'));
    Published<std::string>::Reader reader(value);
    const std::string& held = reader.get();
    value.store(std::make_shared<const std::string>("new"));
    EXPECT_EQ(held, std::string(100, 'x'));  // until the next get()
}

TEST(Published, WaitNewerEndsAtOnceWhenThereIsOne) {
    Published<int> value(std::make_shared<const int>(1));
    const auto seen = value.generation();
    value.store(std::make_shared<const int>(2));
    EXPECT_TRUE(value.wait_newer(seen, 0us));
}

TEST(Published, WaitNewerGivesUpAfterItsTimeout) {
    Published<int> value(std::make_shared<const int>(1));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(value.wait_newer(value.generation(), 5ms));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 5ms);
}

TEST(Published, WaitNewerIsWokenByAStore) {
    Published<int> value(std::make_shared<const int>(1));
    const auto seen = value.generation();
    std::thread other([&] { value.store(std::make_shared<const int>(2)); });
    EXPECT_TRUE(value.wait_newer(seen, 60s));
    EXPECT_EQ(*value.load(), 2);
    other.join();
}

TEST(Published, AReaderNeverSeesAValueOlderThanItsGeneration) {
    Published<int> value(std::make_shared<const int>(0));
    const auto first = value.generation();
    constexpr int kStores = 5000;
    std::thread writer([&] {
        for (int i = 1; i <= kStores; ++i) value.store(std::make_shared<const int>(i));
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
