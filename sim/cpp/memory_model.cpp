// SPDX-License-Identifier: Apache-2.0
#include "memory_model.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

namespace tupelo {

namespace {
constexpr std::size_t kMaxFaults = 65536;
constexpr uint8_t kPoison = 0xEE;  // read data that comes with an error
}  // namespace

MemoryModel::MemoryModel()
    : reads_(kSlots), writes_(kSlots), heads_(kWheel, kNone), tails_(kWheel, kNone), next_(kSlots * 4, kNone) {
  for (uint32_t slot = kSlots; slot-- > 0;) {
    free_reads_.push_back(static_cast<uint16_t>(slot));
    free_writes_.push_back(static_cast<uint16_t>(slot));
  }
}

void MemoryModel::configure(const MemoryConfig &config, uint64_t seed) {
  config_ = config;
  const uint32_t limit = kWheel / 2 - 1;
  config_.read_latency = std::clamp(config_.read_latency, 2u, limit);
  config_.write_latency = std::clamp(config_.write_latency, 2u, limit);
  config_.read_jitter = std::min(config_.read_jitter, limit);
  config_.write_jitter = std::min(config_.write_jitter, limit);
  rng_.seed(seed);
}

void MemoryModel::set_beat_bytes(uint32_t beat_bytes) {
  beat_bytes_ = beat_bytes;
  beat_log2_ = static_cast<uint32_t>(std::countr_zero(beat_bytes));
}

void MemoryModel::add_region(uint64_t iova, uint64_t size, uint8_t *host) {
  const auto after = std::upper_bound(regions_.begin(), regions_.end(), iova,
                                      [](uint64_t value, const Region &r) { return value < r.first; });
  regions_.insert(after, Region{iova, iova + size, host});
  last_region_ = 0;
}

bool MemoryModel::remove_region(uint64_t iova) {
  const auto found = std::find_if(regions_.begin(), regions_.end(), [&](const Region &r) { return r.first == iova; });
  if (found == regions_.end()) return false;
  regions_.erase(found);
  last_region_ = 0;
  return true;
}

void MemoryModel::accept_read(const Address &address, uint32_t size, uint32_t burst) {
  check_burst("read", address, size, burst);
  const uint16_t slot = free_reads_.back();
  free_reads_.pop_back();
  counters_.max_reads = std::max<uint64_t>(counters_.max_reads, ++reads_open_);
  ++counters_.reads;
  ReadSlot &read = reads_[slot];
  read.address = address;
  read.beat = 0;
  read.injected = injected(kRead, address.addr, burst_bytes(address));
  uint64_t due = now_ + config_.read_latency + rng_.upto(config_.read_jitter);
  due = std::max(due, config_.reorder ? read_due_[address.id] : any_read_due_);
  read_due_[address.id] = any_read_due_ = due;
  const auto span = static_cast<uint32_t>(due - 1 - now_);
  const uint64_t moment = now_ + (config_.random_sample ? std::max(1u, rng_.upto(span)) : std::max(1u, span / 2));
  schedule(moment, kSample, slot);
  schedule(due, kReady, slot);
}

void MemoryModel::accept_write(const Address &address, uint32_t size, uint32_t burst) {
  check_burst("write", address, size, burst);
  addresses_.push(address);
  counters_.max_writes = std::max<uint64_t>(counters_.max_writes, ++writes_open_);
  ++counters_.writes;
  pair();
}

void MemoryModel::accept_data(const uint8_t *data, uint64_t strobe, bool last) {
  if (filling_ == kNone) {
    filling_ = free_writes_.back();
    free_writes_.pop_back();
    writes_[filling_].beats = 0;
  }
  WriteSlot &write = writes_[filling_];
  const uint32_t offset = write.beats * beat_bytes_;
  ++counters_.write_beats;
  if (offset + beat_bytes_ > kSlotBytes) return violate("write data: burst longer than 4 KiB", write.address);
  std::memcpy(write.data.data() + offset, data, beat_bytes_);
  write.strobe[write.beats++] = strobe;
  if (last) {
    filled_.push(filling_);
    filling_ = kNone;
    pair();
  }
}

void MemoryModel::pair() {
  while (!addresses_.empty() && !filled_.empty()) {
    const uint16_t slot = filled_.front();
    WriteSlot &write = writes_[slot];
    write.address = addresses_.front();
    addresses_.pop();
    filled_.pop();
    if (write.beats != write.address.len + 1u) violate("write data: WLAST does not match AWLEN", write.address);
    write.injected = injected(kWrite, write.address.addr, burst_bytes(write.address));
    write.response = kOkay;
    const uint8_t id = write.address.id;
    uint64_t due = now_ + config_.write_latency + rng_.upto(config_.write_jitter);
    due = std::max(due, config_.reorder ? write_done_[id] : any_write_done_);
    const auto span = static_cast<uint32_t>(due - 1 - now_);
    uint64_t moment = now_ + (config_.random_sample ? std::max(1u, rng_.upto(span)) : std::max(1u, span / 2));
    moment = std::max(moment, config_.reorder ? write_applied_[id] : any_write_applied_);
    write_applied_[id] = any_write_applied_ = moment;
    write_done_[id] = any_write_done_ = due;
    schedule(moment, kApply, slot);
    schedule(due, kDone, slot);
  }
}

void MemoryModel::schedule(uint64_t at, Kind kind, uint16_t slot) {
  // Outputs are registered: what the NIC shall see at a handshake in cycle `due` leaves the model one cycle before.
  const uint64_t cycle = kind == kReady || kind == kDone ? at - 1 : at;
  const std::size_t bucket = cycle & (kWheel - 1);
  const auto event = static_cast<uint16_t>(slot * 4 + kind);
  next_[event] = kNone;
  if (heads_[bucket] == kNone) {
    heads_[bucket] = event;
  } else {
    next_[tails_[bucket]] = event;
  }
  tails_[bucket] = event;
}

void MemoryModel::fire() {
  const std::size_t bucket = now_ & (kWheel - 1);
  uint16_t event = heads_[bucket];
  heads_[bucket] = kNone;
  while (event != kNone) {
    const uint16_t following = next_[event];
    const auto slot = static_cast<uint16_t>(event / 4);
    switch (static_cast<Kind>(event % 4)) {
      case kSample: sample(slot); break;
      case kReady: ready_.push(slot); break;
      case kApply: apply(slot); break;
      case kDone: done_.push(slot); break;
    }
    event = following;
  }
}

void MemoryModel::sample(uint16_t slot) {
  ReadSlot &read = reads_[slot];
  const uint64_t bytes = burst_bytes(read.address);
  const uint32_t beats = read.address.len + 1u;
  uint8_t worst = read.injected;
  if (worst != kOkay) {
    std::memset(read.data.data(), kPoison, bytes);
    std::memset(read.response.data(), worst, beats);
  } else if (const Region *r = find(read.address.addr, bytes); r && r->first <= read.address.addr &&
                                                               r->end >= read.address.addr + bytes) {
    std::memcpy(read.data.data(), r->host + (read.address.addr - r->first), bytes);
    std::memset(read.response.data(), kOkay, beats);
  } else {
    // Beats are aligned and regions need not be: a beat that holds any byte of a region is a good one.
    for (uint32_t beat = 0; beat < beats; ++beat) {
      const uint64_t addr = read.address.addr + uint64_t{beat} * beat_bytes_;
      uint8_t *out = read.data.data() + beat * beat_bytes_;
      const Region *part = find(addr, beat_bytes_);
      std::memset(out, part ? 0 : kPoison, beat_bytes_);
      read.response[beat] = part ? kOkay : kDecodeError;
      if (!part) {
        worst = kDecodeError;
        continue;
      }
      const uint64_t first = std::max(addr, part->first), end = std::min(addr + beat_bytes_, part->end);
      std::memcpy(out + (first - addr), part->host + (first - part->first), end - first);
    }
  }
  if (worst != kOkay) log(kRead, read.address, worst);
}

void MemoryModel::apply(uint16_t slot) {
  WriteSlot &write = writes_[slot];
  write.response = write.injected;
  if (write.response == kOkay) {
    for (uint32_t beat = 0; beat < write.beats; ++beat) {
      if (write.strobe[beat] != 0 && !apply_beat(write, beat)) write.response = kDecodeError;
    }
  }
  if (write.response != kOkay) log(kWrite, write.address, write.response);
}

bool MemoryModel::apply_beat(const WriteSlot &write, uint32_t beat) {
  const uint64_t addr = write.address.addr + uint64_t{beat} * beat_bytes_;
  const uint8_t *data = write.data.data() + beat * beat_bytes_;
  uint64_t strobe = write.strobe[beat];
  const auto first = static_cast<uint32_t>(std::countr_zero(strobe));
  const auto end = 64u - static_cast<uint32_t>(std::countl_zero(strobe));
  const Region *r = find(addr + first, end - first);
  if (!r || r->first > addr + first || r->end < addr + end) return false;
  uint8_t *host = r->host - r->first + addr;  // of the beat's first byte; only strobed bytes are touched
  while (strobe != 0) {
    const auto from = static_cast<uint32_t>(std::countr_zero(strobe));
    const auto run = static_cast<uint32_t>(std::countr_one(strobe >> from));
    std::memcpy(host + from, data + from, run);
    if (from + run >= 64) break;
    strobe &= ~uint64_t{0} << (from + run);
  }
  return true;
}

void MemoryModel::pop_read(uint8_t *data, uint32_t &id, uint32_t &response, uint32_t &last) {
  std::size_t pick = 0;
  if (config_.interleave && ready_.size() > 1) {
    pick = rng_.upto(static_cast<uint32_t>(std::min<std::size_t>(ready_.size(), 4) - 1));
    for (std::size_t i = 0; i < pick; ++i) {  // beats of one ID stay in order
      if (reads_[ready_.at(i)].address.id == reads_[ready_.at(pick)].address.id) pick = i;
    }
  }
  const uint16_t slot = ready_.at(pick);
  ReadSlot &read = reads_[slot];
  std::memcpy(data, read.data.data() + read.beat * beat_bytes_, beat_bytes_);
  id = read.address.id;
  response = read.response[read.beat];
  last = read.beat == read.address.len;
  ++read.beat;
  ++counters_.read_beats;
  if (last) {
    for (; pick > 0; --pick) ready_.at(pick) = ready_.at(pick - 1);
    ready_.pop();
    free_reads_.push_back(slot);
    --reads_open_;
  }
}

void MemoryModel::pop_response(uint32_t &id, uint32_t &response) {
  const uint16_t slot = done_.front();
  done_.pop();
  id = writes_[slot].address.id;
  response = writes_[slot].response;
  free_writes_.push_back(slot);
  --writes_open_;
}

const Region *MemoryModel::find(uint64_t addr, uint64_t bytes) {
  if (regions_.empty()) return nullptr;
  const Region &recent = regions_[last_region_];
  if (addr >= recent.first && addr + bytes <= recent.end) return &recent;
  auto it = std::upper_bound(regions_.begin(), regions_.end(), addr,
                             [](uint64_t value, const Region &r) { return value < r.first; });
  if (it != regions_.begin() && std::prev(it)->end > addr) --it;
  if (it == regions_.end() || it->first >= addr + bytes) return nullptr;
  last_region_ = static_cast<std::size_t>(it - regions_.begin());
  return &*it;
}

uint8_t MemoryModel::injected(Direction direction, uint64_t addr, uint64_t bytes) {
  for (ErrorRule &rule : rules_) {
    const bool hit = (rule.directions & direction) != 0 && addr <= rule.last && addr + bytes > rule.first;
    if (!hit || rule.remaining == 0 || !(rule.chance >= 65536 || rng_.chance(rule.chance))) continue;
    if (rule.remaining != 0xffffffffu) --rule.remaining;
    return static_cast<uint8_t>(rule.response);
  }
  return kOkay;
}

void MemoryModel::check_burst(const char *channel, const Address &address, uint32_t size, uint32_t burst) {
  const uint64_t bytes = burst_bytes(address);
  const char *rule = nullptr;
  if (burst != 1) rule = "burst type is not INCR";
  if (size != beat_log2_) rule = "size is not the bus width";
  if (address.addr % beat_bytes_ != 0) rule = "address is not aligned to a beat";
  if (address.addr / 4096 != (address.addr + bytes - 1) / 4096) rule = "burst crosses a 4 KiB boundary";
  if (!rule) return;
  std::array<char, 80> text;
  std::snprintf(text.data(), text.size(), "%s: %s", channel, rule);
  violate(text.data(), address);
}

void MemoryModel::violate(const char *rule, const Address &a) {
  if (violation_.set()) return;
  std::snprintf(violation_.text.data(), violation_.text.size(), "AXI %s (addr %#llx, len %u, id %u, queue %u)", rule,
                static_cast<unsigned long long>(a.addr), a.len, a.id, a.user);
}

void MemoryModel::log(Direction direction, const Address &a, uint8_t response) {
  ++(direction == kRead ? counters_.read_errors : counters_.write_errors);
  if (faults_.size() >= kMaxFaults) {
    ++faults_lost_;
    return;
  }
  const auto bytes = static_cast<uint32_t>(burst_bytes(a));
  faults_.push_back(Fault{now_, a.addr, bytes, direction, a.user, a.id, response});
}

}  // namespace tupelo
