// SPDX-License-Identifier: Apache-2.0
// Everything around the NIC in the fast harness: memory, wire, BAR mailbox, interrupts, and the rule when to wake the
// driver. One object a process: SystemVerilog reaches it through DPI (fast_dpi.cpp), Python through ctypes
// (fast_api.cpp), a plain C++ main directly.
#pragma once

#include <cstdint>
#include <deque>

#include "memory_model.h"
#include "wire_model.h"

namespace tupelo {

/// What a tick tells the SystemVerilog side; bit numbers are in tupelo_fast_top.sv too.
enum Flag : uint32_t {
  kReadDue = 1u << 0,
  kResponseDue = 1u << 1,
  kRxDue = 1u << 2,
  kBarDue = 1u << 3,
  kEvent = 1u << 4,
  kFatal = 1u << 5,
  kAwReady = 1u << 6,
  kWReady = 1u << 7,
  kArReady = 1u << 8,
  kTxReady = 1u << 9,
  kMsixReady = 1u << 10,
  kMayStop = 1u << 11,
  kReset = 1u << 12,
  kStraps = 1u << 13,
};

/// Read by Python in place (ctypes.Structure with the same fields).
struct Status {
  uint64_t cycle;         // time in clock periods, stopped ones included
  uint64_t clocked;       // clock edges that were simulated
  uint64_t wakes;         // times that the driver was woken
  uint64_t bar_done;      // BAR operations that the NIC has answered
  uint64_t msix_bad;      // messages to an address or with data that no vector has
  uint64_t irq_pending[4];
  uint32_t stopped;       // 1: the clock stands still
  uint32_t fatal;
};

struct BarOp {
  uint32_t write, addr, data, strobe;
};

class FastModel {
 public:
  static constexpr uint64_t kNever = ~uint64_t{0};
  static constexpr uint64_t kMsixBase = 0xFEE00000;
  static constexpr uint64_t kQuietCycles = 64;  // longer than the NIC is silent in the middle of something

  void configure(uint32_t idle_cycles, uint32_t stall_msix, uint64_t seed);
  void set_beat_bytes(uint32_t beat_bytes);

  /// One clock edge, after all accepts of this edge; busy: a valid of the NIC is up. Returns Flags.
  uint32_t tick(bool busy);
  void message(uint64_t addr, uint32_t data);
  /// The clock may stand still: for how many cycles (0: not at all, -1: until a kick).
  int64_t stop();
  /// Nothing moves or is about to move without a timer, a driver or the wire's other end doing something.
  bool quiet();
  void resume(uint64_t cycle);

  // BAR: operations go out in order; answers of reads come back in order.
  void push_bar(const BarOp &op);
  BarOp pop_bar();
  void finish_bar(uint32_t data, bool is_read, uint32_t response);
  std::deque<uint32_t> &bar_answers() { return answers_; }

  // Waking: the driver says what it waits for; poll() arms again.
  void poll() { armed_ = true; }
  void want_irq(const uint64_t *mask);
  bool take_irq(const uint64_t *mask, uint64_t *fired);
  void want_wire(uint32_t frames, uint64_t max_age_cycles);
  void set_deadline(uint64_t cycle) { deadline_ = cycle; }
  void reset(uint32_t cycles) { reset_until_ = status.clocked + cycles; }
  void set_straps(uint64_t mac, uint32_t mtu, uint32_t link_up);

  MemoryModel memory;
  WireModel wire;
  Status status{};
  uint64_t mac = 0x010000005402ull;  // 02:54:00:00:00:01
  uint32_t mtu = 1500, link_up = 1;
  const char *fatal_text() const;

 private:
  bool wake();

  uint32_t idle_cycles_ = 1024, stall_msix_ = 0;
  Rng rng_;
  uint64_t reset_until_ = 16;
  uint64_t last_busy_ = 0;    // in clocked cycles
  uint64_t last_active_ = 0;  // the same, waking the driver not counted
  bool armed_ = true, straps_changed_ = true;
  std::deque<BarOp> operations_;
  std::deque<uint32_t> answers_;
  uint32_t open_ = 0;  // operations handed to the NIC and not answered
  uint64_t irq_wanted_[4] = {};
  bool answer_ready_ = false;
  uint64_t wire_frames_ = 0, wire_age_ = 0;  // 0 frames: nobody waits for the wire
  uint64_t deadline_ = kNever;
};

/// The one model of this process.
FastModel &model();

}  // namespace tupelo
