#include "block.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>

// Saves what a called function must keep, and the stack pointer in *from; goes on where `to` was saved.
extern "C" void emulation_switch(void** from, void* to);
asm(R"(
.text
.globl emulation_switch
.type emulation_switch, @function
emulation_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulation_switch, .-emulation_switch
)");

namespace emulation {
namespace {

constexpr std::size_t kStackBytes = 256 << 10;

enum class State { kReady, kLooking, kAtWarpBarrier, kAtBlockBarrier, kDone };

struct NamedBarrier {
    int num_waiting = 0, generation = 0;
};

struct Fiber {
    void* stack_pointer = nullptr;
    State state = State::kReady;
    int turn = 0;
};

struct Runner {
    Block block;
    const std::function<void()>* body = nullptr;
    std::vector<Fiber> fibers;
    std::vector<unsigned char> slots;
    unsigned char* stacks = nullptr;
    std::size_t num_stacks = 0;
    void* scheduler = nullptr;
    int current = 0;
    bool any = false, any_result = false;
    NamedBarrier named[16];
    bool has_progressed = false;
    std::exception_ptr failure;

    ~Runner() {
        if (stacks) munmap(stacks, num_stacks * kStackBytes);
    }
};

thread_local Runner runner;

void yield(State state) {
    Fiber& fiber = runner.fibers[runner.current];
    fiber.state = state;
    emulation_switch(&fiber.stack_pointer, runner.scheduler);
}

[[noreturn]] void enter() {
    try {
        (*runner.body)();
    } catch (...) {
        runner.failure = std::current_exception();
    }
    yield(State::kDone);
    std::abort();
}

void prepare(int thread) {
    unsigned char* top = runner.stacks + (thread + 1) * kStackBytes;
    // As if `enter` had been called: the stack is 8 off a multiple of 16, six registers wait to be popped.
    auto** at = reinterpret_cast<void**>(top) - 2;
    *at = reinterpret_cast<void*>(&enter);
    for (int i = 0; i < 6; ++i) *--at = nullptr;
    runner.fibers[thread] = {at, State::kReady, 0};
}

std::vector<int> order_of_threads(int num_threads, int block) {
    std::vector<int> order(num_threads);
    std::iota(order.begin(), order.end(), 0);
    const char* text = std::getenv("JIFF_EMULATION_ORDER");
    const std::string wanted = text ? text : "forward";
    if (wanted == "reverse") {
        std::reverse(order.begin(), order.end());
    } else if (wanted != "forward") {
        std::mt19937 random(static_cast<unsigned>(std::stoul(wanted)) + static_cast<unsigned>(block));
        std::shuffle(order.begin(), order.end(), random);
    }
    return order;
}

// Lets those go on that wait at a barrier which all of theirs have reached. False: nobody waits.
bool release() {
    auto& fibers = runner.fibers;
    bool released = false, waiting = false;
    const auto num_threads = static_cast<int>(fibers.size());
    for (int first = 0; first < num_threads; first += kWarpSize) {
        const int end = std::min(num_threads, first + kWarpSize);
        bool complete = true, any = false;
        for (int t = first; t < end; ++t) {
            complete =
                complete && (fibers[t].state == State::kAtWarpBarrier || fibers[t].state == State::kDone);
            any = any || fibers[t].state == State::kAtWarpBarrier;
        }
        waiting = waiting || any;
        if (!complete || !any) continue;
        for (int t = first; t < end; ++t) {
            if (fibers[t].state == State::kAtWarpBarrier) fibers[t].state = State::kReady;
        }
        released = true;
    }
    if (released) return true;
    bool looking = false;
    for (Fiber& fiber : fibers) {
        if (fiber.state != State::kLooking) continue;
        fiber.state = State::kReady;
        looking = true;
    }
    if (looking && std::exchange(runner.has_progressed, false)) return true;
    if (looking) fail("threads wait for what nobody does");
    bool complete = true, any = false;
    for (const Fiber& fiber : fibers) {
        complete = complete && (fiber.state == State::kAtBlockBarrier || fiber.state == State::kDone);
        any = any || fiber.state == State::kAtBlockBarrier;
    }
    waiting = waiting || any;
    if (complete && any) {
        for (Fiber& fiber : fibers) {
            if (fiber.state == State::kAtBlockBarrier) fiber.state = State::kReady;
        }
        runner.any_result = runner.any;
        runner.any = false;
        return true;
    }
    if (waiting) fail("threads wait at different barriers");
    return false;
}

void run_block() {
    for (int t = 0; t < runner.block.num_threads; ++t) prepare(t);
    const std::vector<int> order = order_of_threads(runner.block.num_threads, runner.block.index);
    do {
        for (const int t : order) {
            if (runner.fibers[t].state != State::kReady) continue;
            runner.current = t;
            emulation_switch(&runner.scheduler, runner.fibers[t].stack_pointer);
        }
    } while (release());
}

}  // namespace

Block& current_block() { return runner.block; }
int current_thread() { return runner.current; }
void wait_for_block() { yield(State::kAtBlockBarrier); }
void wait_for_warp() { yield(State::kAtWarpBarrier); }

void let_others_go_on() { yield(State::kLooking); }
void note_progress() { runner.has_progressed = true; }

void wait_for_some(int id, int num_threads) {
    NamedBarrier& barrier = runner.named[id];
    const int generation = barrier.generation;
    note_progress();
    if (++barrier.num_waiting == num_threads) {
        barrier.num_waiting = 0;
        ++barrier.generation;
    }
    while (barrier.generation == generation) let_others_go_on();
}

void fail(const char* message) {
    std::fprintf(stderr, "cuda emulation: in block %d %s\n", runner.block.index, message);
    std::abort();
}

bool any_in_block(bool predicate) {
    runner.any = runner.any || predicate;
    yield(State::kAtBlockBarrier);
    return runner.any_result;
}

int next_turn() { return runner.fibers[runner.current].turn ^= 1; }

unsigned char* slot_of(int lane, int turn) {
    const int warp = runner.current / kWarpSize;
    return runner.slots.data() + ((warp * 2 + turn) * kWarpSize + lane) * kSlotBytes;
}

void run_grid(int num_blocks, int num_threads, std::size_t dynamic_shared_bytes,
              const std::function<void()>& body) {
    if (runner.num_stacks < static_cast<std::size_t>(num_threads)) {
        if (runner.stacks) munmap(runner.stacks, runner.num_stacks * kStackBytes);
        runner.num_stacks = num_threads;
        runner.stacks =
            static_cast<unsigned char*>(mmap(nullptr, num_threads * kStackBytes, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    }
    runner.body = &body;
    runner.fibers.assign(num_threads, {});
    const int num_warps = (num_threads + kWarpSize - 1) / kWarpSize;
    runner.slots.assign(num_warps * 2 * kWarpSize * kSlotBytes, 0);
    runner.block.num_blocks = num_blocks;
    runner.block.num_threads = num_threads;
    for (int index = 0; index < num_blocks; ++index) {
        runner.block.index = index;
        // A GPU does not clear it either; what is read unwritten shows.
        runner.block.dynamic_shared.assign(dynamic_shared_bytes, 0xcd);
        run_block();
        if (runner.failure) std::rethrow_exception(std::exchange(runner.failure, nullptr));
    }
}

}  // namespace emulation
