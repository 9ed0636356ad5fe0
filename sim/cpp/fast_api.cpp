// SPDX-License-Identifier: Apache-2.0
// What Python calls through ctypes (sim/fast_lib.py holds the prototypes). No call waits; batches cross in one call.
#include <cstring>

#include "fast_model.h"

using tupelo::model;

extern "C" {

struct TupeloConfig {
  tupelo::MemoryConfig memory;
  tupelo::WireConfig wire;
  uint32_t idle_cycles, stall_msix;
  uint64_t seed;
};

void tupelo_configure(const TupeloConfig *config) {
  model().memory.configure(config->memory, config->seed);
  model().wire.configure(config->wire, config->seed + 1);
  model().configure(config->idle_cycles, config->stall_msix, config->seed + 2);
}

tupelo::Status *tupelo_status() { return &model().status; }
void tupelo_poll() { model().poll(); }
int tupelo_quiet() { return model().quiet() ? 1 : 0; }
void tupelo_set_deadline(uint64_t cycle) { model().set_deadline(cycle); }
void tupelo_reset(uint32_t cycles) { model().reset(cycles); }
void tupelo_straps(uint64_t mac, uint32_t mtu, uint32_t link_up) { model().set_straps(mac, mtu, link_up); }

void tupelo_region_add(uint64_t iova, uint64_t size, void *host) {
  model().memory.add_region(iova, size, static_cast<uint8_t *>(host));
}
int tupelo_region_remove(uint64_t iova) { return model().memory.remove_region(iova); }
void tupelo_error_rule(const tupelo::ErrorRule *rule) { model().memory.add_rule(*rule); }
void tupelo_error_clear() { model().memory.clear_rules(); }
void tupelo_memory_counters(tupelo::MemoryCounters *out) { *out = model().memory.counters(); }

/// Copy up to `room` logged faults and forget all; returns how many there were in all.
uint64_t tupelo_faults(tupelo::Fault *out, uint64_t room) {
  const auto &faults = model().memory.faults();
  const uint64_t count = faults.size();
  std::memcpy(out, faults.data(), (count < room ? count : room) * sizeof(tupelo::Fault));
  model().memory.clear_faults();
  return count + model().memory.faults_lost();
}
uint64_t tupelo_faults_count() { return model().memory.faults().size(); }

void tupelo_bar_push(uint32_t write, uint32_t addr, uint32_t data, uint32_t strobe) {
  model().push_bar({write, addr, data, strobe});
}
/// The oldest answer of a read, or -1 while there is none.
int64_t tupelo_bar_answer() {
  auto &answers = model().bar_answers();
  if (answers.empty()) return -1;
  const uint32_t value = answers.front();
  answers.pop_front();
  return value;
}

void tupelo_irq_want(const uint64_t *mask) { model().want_irq(mask); }
int tupelo_irq_take(const uint64_t *mask, uint64_t *fired) { return model().take_irq(mask, fired); }

void tupelo_wire_want(uint32_t frames, uint64_t max_age_cycles) { model().want_wire(frames, max_age_cycles); }

/// Queue `count` frames that lie one after the other in `bytes`; returns how many were accepted.
uint32_t tupelo_wire_send(const uint8_t *bytes, const uint32_t *sizes, uint32_t count, uint32_t bad) {
  uint32_t accepted = 0;
  for (uint32_t i = 0; i < count; bytes += sizes[i], ++i) accepted += model().wire.send(bytes, sizes[i], bad != 0);
  return accepted;
}

void tupelo_wire_waiting(uint64_t *frames, uint64_t *bytes) {
  *frames = model().wire.taken().size();
  *bytes = 0;
  for (const auto &frame : model().wire.taken()) *bytes += frame.bytes.size();
}

/// Move `count` frames out; bytes, sizes and cycles have room for them (tupelo_wire_waiting).
void tupelo_wire_take(uint8_t *bytes, uint32_t *sizes, uint64_t *cycles, uint64_t count) {
  auto &taken = model().wire.taken();
  for (uint64_t i = 0; i < count; ++i) {
    auto &frame = taken.front();
    std::memcpy(bytes, frame.bytes.data(), frame.bytes.size());
    bytes += frame.bytes.size();
    sizes[i] = static_cast<uint32_t>(frame.bytes.size());
    cycles[i] = frame.cycle;
    model().wire.recycle(frame);
    taken.pop_front();
  }
}
uint64_t tupelo_wire_towards() { return model().wire.towards_frames(); }
void tupelo_wire_counters(tupelo::WireCounters *out) { *out = model().wire.counters(); }

}  // extern "C"
