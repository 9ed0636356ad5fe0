// SPDX-License-Identifier: Apache-2.0
// Host memory behind AXI4: a table of regions, a latency, bandwidth of one beat a cycle each way, errors on demand.
//
// Ordering, and no more than this: writes of one ID become visible in the order in which they were issued, at some
// moment between their last data beat and their response; a read samples memory at some moment between its address
// and its data. Across IDs, and between a read and a write, nothing is ordered but by a response.
#pragma once

#include <cstdint>
#include <vector>

#include "fast_common.h"

namespace tupelo {

enum Response : uint8_t { kOkay = 0, kSlaveError = 2, kDecodeError = 3 };
enum Direction : uint8_t { kRead = 1, kWrite = 2 };

struct MemoryConfig {
  uint32_t read_latency = 250;   // cycles from address handshake to the first possible data handshake
  uint32_t write_latency = 250;  // cycles from the last data handshake to the first possible response handshake
  uint32_t read_jitter = 0;      // added to it: uniform in 0..jitter
  uint32_t write_jitter = 0;
  uint32_t reorder = 0;        // 1: responses of different IDs pass each other
  uint32_t interleave = 0;     // 1: beats of reads of different IDs mix
  uint32_t random_sample = 0;  // 1: memory is touched at a random moment of the latency, not at its middle
  uint32_t stall_aw = 0, stall_w = 0, stall_ar = 0;  // chance / 65536 that ready is low for a cycle
  uint32_t stall_b = 0, stall_r = 0;                 // chance / 65536 that valid is held back for a cycle
};

/// Accesses that overlap [first, last] get `response` instead of being done.
struct ErrorRule {
  uint64_t first, last;
  uint32_t directions;  // sum of Direction
  uint32_t chance;      // / 65536
  uint32_t remaining;   // how many more times; 0xffffffff: for ever
  uint32_t response;
};

/// One access that got an error response.
struct Fault {
  uint64_t cycle, addr;
  uint32_t bytes;
  uint8_t direction, queue, id, response;
};

struct Region {
  uint64_t first, end;
  uint8_t *host;
};

struct Address {
  uint64_t addr;
  uint8_t id, len, user;
};

struct MemoryCounters {
  uint64_t reads, read_beats, writes, write_beats, read_errors, write_errors, max_reads, max_writes;
};

class MemoryModel {
 public:
  static constexpr uint32_t kSlots = 1024;       // outstanding each way
  static constexpr uint32_t kWheel = 16384;      // cycles; latency + jitter stay below
  static constexpr uint32_t kSlotBytes = 4096;   // longest burst that AXI4 allows
  static constexpr uint16_t kNone = 0xffff;

  MemoryModel();
  void configure(const MemoryConfig &config, uint64_t seed);
  void set_beat_bytes(uint32_t beat_bytes);
  void add_region(uint64_t iova, uint64_t size, uint8_t *host);
  bool remove_region(uint64_t iova);
  void add_rule(const ErrorRule &rule) { rules_.push_back(rule); }
  void clear_rules() { rules_.clear(); }

  // One call per handshake, in the cycle of the handshake.
  void accept_read(const Address &address, uint32_t size, uint32_t burst);
  void accept_write(const Address &address, uint32_t size, uint32_t burst);
  void accept_data(const uint8_t *data, uint64_t strobe, bool last);

  /// Do what is due at the cycle `now`; called once a cycle, after the accepts.
  void advance(uint64_t now) {
    now_ = now;
    if (heads_[now & (kWheel - 1)] != kNone) fire();
    now_ = now + 1;  // the cycle of the accepts to come
  }
  /// Time went on without a clock; only when idle().
  void jump(uint64_t now) { now_ = now; }
  bool read_due() { return !ready_.empty() && !rng_.chance(config_.stall_r); }
  bool response_due() { return !done_.empty() && !rng_.chance(config_.stall_b); }
  /// Take the next read data beat; read_due() was true.
  void pop_read(uint8_t *data, uint32_t &id, uint32_t &response, uint32_t &last);
  void pop_response(uint32_t &id, uint32_t &response);
  // Two accepts can follow before ready falls at the NIC: keep room for them.
  bool read_ready() { return free_reads_.size() > 2 && !rng_.chance(config_.stall_ar); }
  bool write_ready() { return addresses_.size() + 2 < kSlots && !rng_.chance(config_.stall_aw); }
  bool data_ready() { return free_writes_.size() > 2 && !rng_.chance(config_.stall_w); }
  bool idle() const { return reads_open_ == 0 && writes_open_ == 0; }

  const MemoryCounters &counters() const { return counters_; }
  const std::vector<Fault> &faults() const { return faults_; }
  void clear_faults() { faults_.clear(); }
  uint64_t faults_lost() const { return faults_lost_; }
  const Violation &violation() const { return violation_; }

 private:
  enum Kind : uint16_t { kSample = 0, kReady = 1, kApply = 2, kDone = 3 };
  struct ReadSlot {
    Address address;
    uint8_t injected;
    uint16_t beat;
    std::array<uint8_t, 256> response;
    alignas(64) std::array<uint8_t, kSlotBytes> data;
  };
  struct WriteSlot {
    Address address;
    uint8_t injected, response;
    uint16_t beats;
    std::array<uint64_t, 256> strobe;
    alignas(64) std::array<uint8_t, kSlotBytes> data;
  };

  void schedule(uint64_t at, Kind kind, uint16_t slot);
  void fire();
  void sample(uint16_t slot);
  void apply(uint16_t slot);
  void pair();
  bool apply_beat(const WriteSlot &slot, uint32_t beat);
  const Region *find(uint64_t addr, uint64_t bytes);
  uint8_t injected(Direction direction, uint64_t addr, uint64_t bytes);
  void check_burst(const char *channel, const Address &address, uint32_t size, uint32_t burst);
  void log(Direction direction, const Address &address, uint8_t response);
  void violate(const char *rule, const Address &address);
  uint64_t burst_bytes(const Address &address) const { return (uint64_t{address.len} + 1) * beat_bytes_; }

  MemoryConfig config_;
  uint32_t beat_bytes_ = kMaxBeatBytes;
  uint32_t beat_log2_ = 6;
  uint64_t now_ = 0;
  Rng rng_;

  std::vector<Region> regions_;  // sorted by first
  std::size_t last_region_ = 0;
  std::vector<ErrorRule> rules_;
  std::vector<Fault> faults_;
  uint64_t faults_lost_ = 0;
  MemoryCounters counters_{};
  Violation violation_;

  std::vector<ReadSlot> reads_;
  std::vector<WriteSlot> writes_;
  std::vector<uint16_t> free_reads_, free_writes_;
  uint32_t reads_open_ = 0, writes_open_ = 0;
  Ring<uint16_t, kSlots> ready_;     // reads whose data may go, in order of becoming due
  Ring<uint16_t, kSlots> done_;      // writes whose response may go
  Ring<Address, kSlots> addresses_;  // write addresses that wait for their data
  Ring<uint16_t, kSlots> filled_;    // write data that waits for its address
  uint16_t filling_ = kNone;

  // Timing wheel: a list of events for each cycle to come. Event = slot * 4 + kind, linked through next_.
  std::vector<uint16_t> heads_, tails_, next_;
  std::array<uint64_t, 256> read_due_{}, write_applied_{}, write_done_{};  // last one of each ID
  uint64_t any_read_due_ = 0, any_write_applied_ = 0, any_write_done_ = 0;
};

}  // namespace tupelo
