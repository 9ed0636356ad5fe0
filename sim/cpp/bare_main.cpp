// SPDX-License-Identifier: Apache-2.0
// The loop of `tupelo bench` with no Python: the same top, the same models, the same stimulus, a C++ main.
// Usage: tupelo_fast_top FRAMES FRAME_BYTES WARM_UP QUEUES; prints one line of JSON.
#include <verilated.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "Vtop.h"
#include "bare_driver.h"

static uint64_t now_ps = 0;
double sc_time_stamp() { return static_cast<double>(now_ps); }

namespace {

using namespace tupelo;

constexpr uint32_t kTxSlots = 256, kRxSlots = 1024;
constexpr uint32_t kInterruptAfter = 384;
constexpr uint64_t kModerationCycles = 2500;   // 10 us
constexpr uint64_t kPatienceCycles = 250000;  // 1 ms

class Simulation {
 public:
  Simulation() { top_.eval(); }
  void step() {
    if (!top_.eventsPending()) fail("no event is left");
    now_ps = top_.nextTimeSlot();
    top_.eval();
  }
  /// Run until the model would wake the driver.
  void sleep() {
    const uint64_t wakes = model().status.wakes;
    model().poll();
    while (model().status.wakes == wakes) step();
  }
  [[noreturn]] static void fail(const char *why) {
    std::fprintf(stderr, "bare_main: %s\n", why);
    std::exit(1);
  }

 private:
  Vtop top_;
};

class Loop {
 public:
  Loop(Simulation &simulation, uint32_t frame_bytes, uint32_t queues)
      : simulation_(simulation), frame_bytes_(frame_bytes), device_([&] { simulation.step(); }) {
    std::vector<Queue *> all;
    for (uint32_t pair = 0; pair < queues; ++pair) {
      if (pair == 0) {
        rx_ = std::make_unique<Queue>(0, kRxSlots, true);
        all.push_back(rx_.get());
      }
      tx_.push_back(std::make_unique<Queue>(2 * pair + 1, kTxSlots, false));
      all.push_back(tx_.back().get());
      for (uint32_t id = 0; id < kTxSlots; ++id) {
        uint8_t *frame = tx_.back()->buffer(id) + kHeaderBytes;
        for (uint32_t i = 0; i < frame_bytes; ++i) frame[i] = static_cast<uint8_t>(i < 6 ? 0xff : i + id + pair);
      }
    }
    if (!device_.start(all)) Simulation::fail("the device refused its features");
    rx_->post(kRxSlots, kBufferBytes);
    rx_->kick();
    want_[0] = uint64_t{1} << 1;  // vector of queue 0
  }

  void run(uint64_t count) {
    const uint64_t goal = received_ + count;
    while (received_ < goal) {
      send(goal);
      if (!receive()) wait();
    }
  }

 private:
  void send(uint64_t goal) {
    for (auto &queue : tx_) {
      bool good = true;
      queue->reap(kTxSlots, 0, good);
      const uint64_t room = std::min({uint64_t{queue->free_slots()}, kRxSlots - (sent_ - received_), goal - sent_});
      queue->post(static_cast<uint32_t>(room), kHeaderBytes + frame_bytes_);
      sent_ += room;
      queue->kick();
    }
  }
  bool receive() {
    bool good = true;
    const uint32_t count = rx_->reap(kRxSlots, kHeaderBytes + frame_bytes_, good);
    if (!good) Simulation::fail("a frame came back with another length");
    rx_->post(count, kBufferBytes);
    received_ += count;
    return count != 0;
  }
  /// As driver/nic.py waits: for 128 frames or one moderation window, then for a single frame.
  void wait() {
    rx_->kick();
    const uint64_t start = model().status.cycle;
    uint32_t after = kInterruptAfter;
    uint64_t limit = kModerationCycles;
    model().want_irq(want_);
    while (!rx_->has_used()) {
      if (rx_->interrupt_after(after)) break;
      uint64_t fired[4];
      if (!model().take_irq(want_, fired)) {
        model().set_deadline(model().status.cycle + limit);
        simulation_.sleep();
        model().take_irq(want_, fired);
      }
      if (model().status.cycle - start > kPatienceCycles) Simulation::fail("frames did not come back");
      after = 1;
      limit = kPatienceCycles;
    }
    model().set_deadline(FastModel::kNever);
    rx_->disable_interrupts();
  }

  Simulation &simulation_;
  uint32_t frame_bytes_;
  Device device_;
  std::unique_ptr<Queue> rx_;
  std::vector<std::unique_ptr<Queue>> tx_;
  uint64_t want_[4] = {};
  uint64_t sent_ = 0, received_ = 0;
};

}  // namespace

int main(int argc, char **argv) {
  const auto option = [&](int index, uint64_t standard) {
    return argc > index ? std::strtoull(argv[index], nullptr, 10) : standard;
  };
  const uint64_t frames = option(1, 20000), frame_bytes = option(2, 60), warm_up = option(3, 2000);
  const uint64_t queues = option(4, 4);
  if (frame_bytes < 14 || frame_bytes > kBufferBytes - kHeaderBytes || queues < 1 || frames < 1) {
    Simulation::fail("usage: FRAMES FRAME_BYTES WARM_UP QUEUES");
  }
  WireConfig wire;
  wire.loopback = 1;
  model().memory.configure(MemoryConfig{}, 1);
  model().wire.configure(wire, 2);
  Simulation simulation;
  Loop loop(simulation, static_cast<uint32_t>(frame_bytes), static_cast<uint32_t>(queues));
  loop.run(warm_up);
  const uint64_t first = model().status.clocked;
  const auto start = std::chrono::steady_clock::now();
  loop.run(frames);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  const auto cycles = static_cast<double>(model().status.clocked - first);
  std::printf("{\"frames\": %llu, \"cycles\": %.0f, \"seconds\": %.6f, \"cycles_per_s\": %.1f, \"frames_per_s\": %.1f, "
              "\"cycles_per_frame\": %.4f}\n",
              static_cast<unsigned long long>(frames), cycles, wall.count(), cycles / wall.count(),
              static_cast<double>(frames) / wall.count(), cycles / static_cast<double>(frames));
  return 0;
}
