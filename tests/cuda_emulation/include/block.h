// A block of threads as fibers of one thread of the processor.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <vector>

namespace emulation {

constexpr int kWarpSize = 32;
constexpr std::size_t kSlotBytes = 64;  // what a lane shows the others of its warp

struct Block {
    int index = 0, num_blocks = 0, num_threads = 0;
    std::vector<unsigned char> dynamic_shared;
};

// Of the fiber that runs.
Block& current_block();
int current_thread();

// Runs `body` once for each thread of each block, block after block.
void run_grid(int num_blocks, int num_threads, std::size_t dynamic_shared_bytes,
              const std::function<void()>& body);

void wait_for_block();
void wait_for_warp();
// Until `num_threads` of the block wait at the barrier `id` of 16.
void wait_for_some(int id, int num_threads);
// For a thread that waits for what others do: comes back when they had their turn. Threads that all wait so,
// and none of which notes progress, are an error.
void let_others_go_on();
void note_progress();
[[noreturn]] void fail(const char* message);
bool any_in_block(bool predicate);

// The slot of a lane of this warp. Two sets take turns, so that one barrier between writing and reading does.
unsigned char* slot_of(int lane, int turn);
int next_turn();  // of this thread

// Each lane shows `value`; returns pick(values of the warp, own lane).
template <typename T, typename Pick>
auto exchange(const T& value, const Pick& pick) {
    static_assert(sizeof(T) <= kSlotBytes, "a slot is too small");
    const int lane = current_thread() % kWarpSize, turn = next_turn();
    std::memcpy(slot_of(lane, turn), &value, sizeof(T));
    wait_for_warp();
    T values[kWarpSize];
    for (int other = 0; other < kWarpSize; ++other)
        std::memcpy(&values[other], slot_of(other, turn), sizeof(T));
    return pick(static_cast<const T*>(values), lane);
}

}  // namespace emulation
