// SPDX-License-Identifier: Apache-2.0
#include "fast_model.h"

#include <algorithm>

namespace tupelo {

FastModel &model() {
  static FastModel instance;
  return instance;
}

void FastModel::configure(uint32_t idle_cycles, uint32_t stall_msix, uint64_t seed) {
  idle_cycles_ = idle_cycles;
  stall_msix_ = stall_msix;
  rng_.seed(seed);
}

void FastModel::set_beat_bytes(uint32_t beat_bytes) {
  memory.set_beat_bytes(beat_bytes);
  wire.set_beat_bytes(beat_bytes);
}

uint32_t FastModel::tick(bool busy) {
  const uint64_t now = status.cycle;
  memory.advance(now);
  wire.advance(now);
  status.cycle = now + 1;
  ++status.clocked;
  uint32_t flags = 0;
  if (status.clocked < reset_until_) flags |= kReset;
  if (straps_changed_) {
    straps_changed_ = false;
    flags |= kStraps;
  }
  if (memory.read_due()) flags |= kReadDue;
  if (memory.response_due()) flags |= kResponseDue;
  if (wire.rx_due()) flags |= kRxDue;
  if (!operations_.empty() && (flags & kReset) == 0 && (operations_.front().write || open_ == 0)) flags |= kBarDue;
  if (memory.write_ready()) flags |= kAwReady;
  if (memory.data_ready()) flags |= kWReady;
  if (memory.read_ready()) flags |= kArReady;
  if (wire.tx_ready()) flags |= kTxReady;
  if (!rng_.chance(stall_msix_)) flags |= kMsixReady;
  if (memory.violation().set() || wire.violation().set()) {
    status.fatal = 1;
    flags |= kFatal;
  }
  if (armed_ && wake()) {
    armed_ = false;
    ++status.wakes;
    flags |= kEvent;
  }
  if (busy || (flags & (kReset | kBarDue | kRxDue)) != 0 || open_ != 0 || !memory.idle()) {
    last_active_ = status.clocked;
    last_busy_ = status.clocked;
  } else if ((flags & kEvent) != 0) {
    last_busy_ = status.clocked;
  } else if (idle_cycles_ != 0 && status.clocked - last_busy_ >= idle_cycles_) {
    flags |= kMayStop;
  }
  return flags;
}

bool FastModel::wake() {
  if (answer_ready_) {
    answer_ready_ = false;
    return true;
  }
  for (int i = 0; i < 4; ++i) {
    if (status.irq_pending[i] & irq_wanted_[i]) return true;
  }
  if (wire_frames_ != 0 && !wire.taken().empty()) {
    if (wire.taken().size() >= wire_frames_) return true;
    if (wire.taken().front().cycle + wire_age_ <= status.cycle) return true;
  }
  return status.cycle >= deadline_;
}

bool FastModel::quiet() {
  const bool frames_for_python = wire_frames_ != 0 && !wire.taken().empty();
  return operations_.empty() && open_ == 0 && memory.idle() && wire.next_due() == kNever && !frames_for_python &&
         status.clocked - last_active_ >= kQuietCycles;
}

int64_t FastModel::stop() {
  // A quiet NIC with a frame on its way to it, a driver to wake, or frames that grow old for Python.
  uint64_t until = std::min(deadline_, wire.next_due());
  if (wire_frames_ != 0 && !wire.taken().empty()) until = std::min(until, wire.taken().front().cycle + wire_age_);
  if (!armed_ || !operations_.empty() || until <= status.cycle + 1) return 0;
  status.stopped = 1;
  return until == kNever ? -1 : static_cast<int64_t>(until - status.cycle);
}

void FastModel::resume(uint64_t cycle) {
  status.stopped = 0;
  status.cycle = std::max(status.cycle, cycle);
  memory.jump(status.cycle);
  wire.jump(status.cycle);
  last_busy_ = status.clocked;
}

void FastModel::message(uint64_t addr, uint32_t data) {
  if (addr != kMsixBase || data >= 256) {
    ++status.msix_bad;
    return;
  }
  status.irq_pending[data / 64] |= uint64_t{1} << (data % 64);
}

void FastModel::push_bar(const BarOp &op) { operations_.push_back(op); }

BarOp FastModel::pop_bar() {
  const BarOp op = operations_.front();
  operations_.pop_front();
  ++open_;
  return op;
}

void FastModel::finish_bar(uint32_t data, bool is_read, uint32_t response) {
  --open_;
  ++status.bar_done;
  if (!is_read) return;
  answers_.push_back(response == kOkay ? data : 0xffffffffu);
  answer_ready_ = true;
}

void FastModel::want_irq(const uint64_t *mask) { std::copy(mask, mask + 4, irq_wanted_); }

bool FastModel::take_irq(const uint64_t *mask, uint64_t *fired) {
  uint64_t any = 0;
  for (int i = 0; i < 4; ++i) {
    fired[i] = status.irq_pending[i] & mask[i];
    status.irq_pending[i] &= ~fired[i];
    any |= fired[i];
  }
  return any != 0;
}

void FastModel::want_wire(uint32_t frames, uint64_t max_age_cycles) {
  wire_frames_ = frames;
  wire_age_ = max_age_cycles;
}

void FastModel::set_straps(uint64_t mac_value, uint32_t mtu_value, uint32_t link_value) {
  mac = mac_value;
  mtu = mtu_value;
  link_up = link_value;
  straps_changed_ = true;
}

const char *FastModel::fatal_text() const {
  return memory.violation().set() ? memory.violation().text.data() : wire.violation().text.data();
}

}  // namespace tupelo
