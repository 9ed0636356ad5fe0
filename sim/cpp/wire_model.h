// SPDX-License-Identifier: Apache-2.0
// The wire: takes the frames that the NIC sends, and gives it frames, one beat a cycle each way.
// Mode python: frames leave to and come from Python in batches. Mode loopback: what is sent comes back.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "fast_common.h"

namespace tupelo {

struct WireConfig {
  uint32_t loopback = 0;
  uint32_t delay = 100;           // cycles from the last beat in (or from Python) to the first beat out
  uint32_t queue_frames = 65536;  // bound of the queue towards the NIC; what does not fit is dropped and counted
  uint32_t stall_tx = 0;          // chance / 65536 that the wire does not take a beat in a cycle
  uint32_t stall_rx = 0;          // chance / 65536 that it does not give one
  uint32_t gap = 0;               // idle cycles after each frame towards the NIC
  uint32_t keep_frames = 0;       // 1: loopback also keeps a copy of each frame for Python
};

struct WireCounters {
  uint64_t tx_frames, tx_bytes, rx_frames, rx_bytes, dropped, underruns;
};

class WireModel {
 public:
  struct Frame {
    std::vector<uint8_t> bytes;
    uint64_t cycle = 0;  // from the NIC: last beat; towards it: not before
    bool bad = false;
  };

  void configure(const WireConfig &config, uint64_t seed);
  void set_beat_bytes(uint32_t beat_bytes);
  /// A beat of m_axis_tx was handed over.
  void accept(const uint8_t *data, uint64_t keep, bool last);
  void advance(uint64_t now) {
    in_frame_idle_ += in_frame_ && !accepted_ && offered_;
    accepted_ = false;
    now_ = now + 1;
  }
  void jump(uint64_t now) { now_ = now; }
  bool tx_ready() { return offered_ = !rng_.chance(config_.stall_tx); }
  bool rx_due() {
    return !towards_.empty() && towards_.front().cycle <= now_ && now_ >= gap_until_ && !rng_.chance(config_.stall_rx);
  }
  /// Take the next beat towards the NIC; rx_due() was true.
  void pop(uint8_t *data, uint64_t &keep, uint32_t &last, uint32_t &bad);

  /// Queue a frame towards the NIC; false: the queue was full and the frame is dropped.
  bool send(const uint8_t *bytes, uint32_t size, bool bad);
  std::deque<Frame> &taken() { return taken_; }  // frames from the NIC that Python has not fetched
  void recycle(Frame &frame) { pool_.push_back(std::move(frame.bytes)); }
  std::size_t towards_frames() const { return towards_.size(); }
  bool idle() const { return !in_frame_ && towards_.empty(); }
  uint64_t next_due() const { return towards_.empty() ? ~uint64_t{0} : towards_.front().cycle; }

  WireCounters counters() const;
  const Violation &violation() const { return violation_; }

 private:
  std::vector<uint8_t> buffer();
  void finish();

  WireConfig config_;
  uint32_t beat_bytes_ = kMaxBeatBytes;
  uint64_t full_keep_ = ~uint64_t{0};
  uint64_t now_ = 0, gap_until_ = 0;
  Rng rng_;
  bool in_frame_ = false, accepted_ = false, offered_ = true;
  uint64_t in_frame_idle_ = 0;
  Frame current_;
  std::deque<Frame> towards_, taken_;
  std::size_t sent_ = 0;  // bytes of towards_.front() that are out
  std::vector<std::vector<uint8_t>> pool_;
  WireCounters counters_{};
  Violation violation_;
};

}  // namespace tupelo
