// SPDX-License-Identifier: Apache-2.0
// As much of a virtio-net driver as a loop needs: one packed ring, and the initialisation of a device.
// It does what driver/ does in Python, so that the simulated part of both benches is the same.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include "fast_model.h"
#include "tupelo_registers.h"

namespace tupelo {

constexpr uint32_t kHeaderBytes = 12;  // virtio_net_hdr, always all zero here
constexpr uint32_t kBufferBytes = 2048;

/// Memory that the device can reach; lives until the process ends.
inline uint8_t *allocate(uint64_t size, uint64_t &iova) {
  static uint64_t next = 0x7A00000000;
  auto *host = static_cast<uint8_t *>(std::aligned_alloc(4096, (size + 4095) / 4096 * 4096));
  std::memset(host, 0, size);
  iova = next;
  next += (size + 4095) / 4096 * 4096 + 8192;
  model().memory.add_region(iova, size, host);
  return host;
}

/// A position in a packed ring: slot and wrap counter (VIRTIO 1.2 section 2.8.1).
struct Position {
  uint32_t slot = 0, wrap = 1;
  void advance(uint32_t slots, uint32_t size) {
    slot += slots;
    if (slot >= size) {
      slot -= size;
      wrap ^= 1;
    }
  }
  uint32_t encoded() const { return slot | wrap << 15; }
};

struct Descriptor {
  uint64_t addr;
  uint32_t len;
  uint16_t id, flags;
};
static_assert(sizeof(Descriptor) == 16);

/// One virtqueue with single-descriptor buffers; buffer k belongs to id k.
class Queue {
 public:
  static constexpr uint16_t kWrite = 1u << 1, kAvail = 1u << 7, kUsed = 1u << 15;
  enum EventMode : uint32_t { kEnable = 0, kDisable = 1, kPosition = 2 };

  Queue(uint32_t index, uint32_t slots, bool device_writes)
      : index_(index), size_(slots), device_writes_(device_writes) {
    uint8_t *ring = allocate(slots * sizeof(Descriptor) + 128, ring_iova_);
    descriptors_ = reinterpret_cast<Descriptor *>(ring);
    events_ = ring + slots * sizeof(Descriptor);
    buffers_ = allocate(uint64_t{slots} * kBufferBytes, buffers_iova_);
    for (uint32_t id = slots; id-- > 0;) free_.push_back(static_cast<uint16_t>(id));
    disable_interrupts();
  }
  uint32_t index() const { return index_; }
  uint32_t size() const { return size_; }
  uint64_t areas(int which) const {
    const uint64_t events = ring_iova_ + size_ * sizeof(Descriptor);
    return which == 0 ? ring_iova_ : events + (which == 1 ? 0 : 64);
  }
  uint8_t *buffer(uint32_t id) { return buffers_ + uint64_t{id} * kBufferBytes; }
  uint32_t free_slots() const { return static_cast<uint32_t>(free_.size()); }

  void post(uint32_t count, uint32_t len) {
    for (; count > 0; --count) {
      const uint16_t id = free_.back();
      free_.pop_back();
      const uint16_t flags = avail_.wrap ? kAvail : kUsed;
      descriptors_[avail_.slot] = {buffers_iova_ + uint64_t{id} * kBufferBytes, len, id,
                                   static_cast<uint16_t>(flags | (device_writes_ ? kWrite : 0))};
      avail_.advance(1, size_);
      ++posted_;
    }
  }
  bool has_used() const {
    const uint16_t owner = descriptors_[used_.slot].flags & (kAvail | kUsed);
    return owner == (used_.wrap ? (kAvail | kUsed) : 0);
  }
  /// Take back what is used, at most `limit`; returns how many, and false in `good` if a length is not `len`.
  uint32_t reap(uint32_t limit, uint32_t len, bool &good) {
    uint32_t count = 0;
    for (; count < limit && has_used(); ++count) {
      const Descriptor &d = descriptors_[used_.slot];
      good = good && (!device_writes_ || d.len == len);
      free_.push_back(d.id);
      used_.advance(1, size_);
    }
    return count;
  }
  /// Ring the doorbell if the device wants it for what was posted since the last call (section 2.8.21.3).
  void kick() {
    if (posted_ == 0) return;
    const uint32_t event = read32(events_ + 64);
    const uint32_t mode = event >> 16 & 3, slot = event & 0x7fff, wrap = event >> 15 & 1;
    bool wanted = mode != kDisable;
    if (mode == kPosition && slot < size_) {
      const uint32_t lap = wrap != notified_.wrap ? size_ : 0;
      wanted = (slot + lap + 2 * size_ - notified_.slot) % (2 * size_) < posted_;
    }
    notified_ = avail_;
    posted_ = 0;
    const uint32_t addr = reg::NOTIFY + index_ * reg::NOTIFY_STRIDE;
    if (wanted) model().push_bar({1, addr, index_, 3});
  }
  void disable_interrupts() { write32(events_, kDisable << 16); }
  /// One interrupt when `slots` more are used; true if they are already.
  bool interrupt_after(uint32_t slots) {
    Position at = used_;
    at.advance(slots - 1, size_);
    write32(events_, kPosition << 16 | at.encoded());
    const uint16_t owner = descriptors_[at.slot].flags & (kAvail | kUsed);
    return owner == (at.wrap ? (kAvail | kUsed) : 0);
  }

 private:
  static uint32_t read32(const uint8_t *from) {
    uint32_t value;
    std::memcpy(&value, from, 4);
    return value;
  }
  static void write32(uint8_t *to, uint32_t value) { std::memcpy(to, &value, 4); }

  uint32_t index_, size_, posted_ = 0;
  bool device_writes_;
  uint64_t ring_iova_ = 0, buffers_iova_ = 0;
  Descriptor *descriptors_ = nullptr;
  uint8_t *events_ = nullptr, *buffers_ = nullptr;
  std::vector<uint16_t> free_;
  Position avail_, used_, notified_;
};

/// Registers of the device; `run` lets the simulation go on by one step.
class Device {
 public:
  explicit Device(std::function<void()> run) : run_(std::move(run)) {}
  void write(uint32_t offset, uint32_t value, uint32_t width = 4) {
    const uint32_t lane = offset % 4;
    model().push_bar({1, offset & ~3u, value << (8 * lane), ((1u << width) - 1) << lane});
  }
  uint32_t read(uint32_t offset, uint32_t width = 4) {
    model().push_bar({0, offset & ~3u, 0, 0});
    while (model().bar_answers().empty()) run_();
    const uint32_t value = model().bar_answers().front() >> (8 * (offset % 4));
    model().bar_answers().pop_front();
    return width == 4 ? value : value & ((1u << (8 * width)) - 1);
  }
  /// VIRTIO 1.2 section 3.1.1; false if the device refuses. Queue q gets vector 1 + q.
  bool start(const std::vector<Queue *> &queues) {
    constexpr uint32_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8;
    // What NicConfig asks for by default: MTU, MAC, STATUS, EVENT_IDX; VERSION_1, ACCESS_PLATFORM, RING_PACKED,
    // ORDER_PLATFORM, RING_RESET. No offload.
    constexpr uint32_t kFeatures[2] = {0x20010028, 0x117};
    write(reg::COMMON_DEVICE_STATUS, 0, 1);
    while (read(reg::COMMON_DEVICE_STATUS, 1) != 0) {
    }
    write(reg::COMMON_DEVICE_STATUS, kAcknowledge | kDriver, 1);
    for (uint32_t half = 0; half < 2; ++half) {
      write(reg::COMMON_DEVICE_FEATURE_SELECT, half);
      const uint32_t offered = read(reg::COMMON_DEVICE_FEATURE);
      write(reg::COMMON_DRIVER_FEATURE_SELECT, half);
      write(reg::COMMON_DRIVER_FEATURE, offered & kFeatures[half]);
    }
    write(reg::COMMON_DEVICE_STATUS, kAcknowledge | kDriver | kFeaturesOk, 1);
    if ((read(reg::COMMON_DEVICE_STATUS, 1) & kFeaturesOk) == 0) return false;
    write(reg::VENDOR_MSIX_CONTROL, 1u << 15);
    for (Queue *queue : queues) set_up(*queue);
    write(reg::COMMON_DEVICE_STATUS, kAcknowledge | kDriver | kFeaturesOk | kDriverOk, 1);
    return true;
  }

 private:
  void set_up(const Queue &queue) {
    const uint32_t vector = 1 + queue.index();
    const uint32_t entry = vector * reg::MSIX_TABLE_ADDR_LO_STRIDE;
    write(reg::MSIX_TABLE_ADDR_LO + entry, static_cast<uint32_t>(FastModel::kMsixBase));
    write(reg::MSIX_TABLE_ADDR_HI + entry, 0);
    write(reg::MSIX_TABLE_DATA + entry, vector);
    write(reg::MSIX_TABLE_CONTROL + entry, 0);
    write(reg::COMMON_QUEUE_SELECT, queue.index(), 2);
    write(reg::COMMON_QUEUE_SIZE, queue.size(), 2);
    const uint32_t areas[] = {reg::COMMON_QUEUE_DESC, reg::COMMON_QUEUE_DRIVER, reg::COMMON_QUEUE_DEVICE};
    for (int which = 0; which < 3; ++which) {
      write(areas[which], static_cast<uint32_t>(queue.areas(which)));
      write(areas[which] + 4, static_cast<uint32_t>(queue.areas(which) >> 32));
    }
    write(reg::COMMON_QUEUE_MSIX_VECTOR, vector, 2);
    write(reg::COMMON_QUEUE_ENABLE, 1, 2);
  }
  std::function<void()> run_;
};

}  // namespace tupelo
