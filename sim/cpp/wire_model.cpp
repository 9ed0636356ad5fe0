// SPDX-License-Identifier: Apache-2.0
#include "wire_model.h"

#include <bit>
#include <cstdio>
#include <cstring>

namespace tupelo {

namespace {
constexpr std::size_t kReserveBytes = 2048;
constexpr std::size_t kMaxFrameBytes = 1 << 20;  // nothing that a NIC sends is longer: a lost tlast
}  // namespace

void WireModel::configure(const WireConfig &config, uint64_t seed) {
  config_ = config;
  rng_.seed(seed);
}

void WireModel::set_beat_bytes(uint32_t beat_bytes) {
  beat_bytes_ = beat_bytes;
  full_keep_ = beat_bytes == 64 ? ~uint64_t{0} : (uint64_t{1} << beat_bytes) - 1;
}

void WireModel::accept(const uint8_t *data, uint64_t keep, bool last) {
  const auto count = static_cast<std::size_t>(std::countr_one(keep));
  const bool whole = keep == full_keep_;
  accepted_ = true;
  if (!in_frame_) {
    current_.bytes = buffer();
    in_frame_ = true;
  }
  if (!violation_.set() && ((!whole && !last) || keep == 0 || (keep & (keep + 1)) != 0)) {
    std::snprintf(violation_.text.data(), violation_.text.size(),
                  "AXIS tx: tkeep %#llx is not a run of ones from bit 0, or not full before tlast",
                  static_cast<unsigned long long>(keep));
  }
  if (!violation_.set() && current_.bytes.size() > kMaxFrameBytes) {
    std::snprintf(violation_.text.data(), violation_.text.size(), "AXIS tx: a frame without an end");
  }
  current_.bytes.insert(current_.bytes.end(), data, data + count);
  if (last) finish();
}

void WireModel::finish() {
  in_frame_ = false;
  ++counters_.tx_frames;
  counters_.tx_bytes += current_.bytes.size();
  current_.cycle = now_;
  current_.bad = false;
  if (!config_.loopback) {
    taken_.push_back(std::move(current_));
    return;
  }
  if (config_.keep_frames) taken_.push_back(current_);
  if (towards_.size() >= config_.queue_frames) {
    ++counters_.dropped;
    recycle(current_);
    return;
  }
  current_.cycle += config_.delay;
  towards_.push_back(std::move(current_));
}

bool WireModel::send(const uint8_t *bytes, uint32_t size, bool bad) {
  if (towards_.size() >= config_.queue_frames) {
    ++counters_.dropped;
    return false;
  }
  Frame frame{buffer(), now_ + config_.delay, bad};
  frame.bytes.assign(bytes, bytes + size);
  towards_.push_back(std::move(frame));
  return true;
}

void WireModel::pop(uint8_t *data, uint64_t &keep, uint32_t &last, uint32_t &bad) {
  Frame &frame = towards_.front();
  const std::size_t rest = frame.bytes.size() - sent_;
  const std::size_t count = rest < beat_bytes_ ? rest : beat_bytes_;
  std::memcpy(data, frame.bytes.data() + sent_, count);
  if (count < kMaxBeatBytes) std::memset(data + count, 0, kMaxBeatBytes - count);
  keep = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
  last = count == rest;
  bad = last && frame.bad;
  sent_ += count;
  if (!last) return;
  ++counters_.rx_frames;
  counters_.rx_bytes += sent_;
  sent_ = 0;
  gap_until_ = now_ + 1 + config_.gap;
  recycle(frame);
  towards_.pop_front();
}

WireCounters WireModel::counters() const {
  WireCounters result = counters_;
  result.underruns = in_frame_idle_;
  return result;
}

std::vector<uint8_t> WireModel::buffer() {
  std::vector<uint8_t> result;
  if (pool_.empty()) {
    result.reserve(kReserveBytes);
  } else {
    result = std::move(pool_.back());
    pool_.pop_back();
    result.clear();
  }
  return result;
}

}  // namespace tupelo
