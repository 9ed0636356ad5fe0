// SPDX-License-Identifier: Apache-2.0
// Small parts that the models of the fast harness share: a random source, a FIFO, and the shape of a beat.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tupelo {

constexpr std::size_t kMaxBeatBytes = 64;  // DATA_W 512

/// Random numbers that are the same on every machine (xorshift64*); one seed makes one run.
class Rng {
 public:
  void seed(uint64_t seed) { state_ = seed * 0x9E3779B97F4A7C15ull + 0xD1B54A32D192ED03ull; }
  uint32_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1Dull) >> 32);
  }
  /// True with a chance of p16 / 65536.
  bool chance(uint32_t p16) { return p16 != 0 && (next() >> 16) < p16; }
  /// Uniform in 0..limit, both ends included.
  uint32_t upto(uint32_t limit) {
    return limit == 0 ? 0 : static_cast<uint32_t>((static_cast<uint64_t>(next()) * (uint64_t{limit} + 1)) >> 32);
  }

 private:
  uint64_t state_ = 0x1234567;
};

/// FIFO of fixed capacity (a power of two). The caller never pushes when full.
template <typename T, std::size_t N>
class Ring {
  static_assert((N & (N - 1)) == 0);

 public:
  bool empty() const { return head_ == tail_; }
  bool full() const { return size() == N; }
  std::size_t size() const { return tail_ - head_; }
  T &front() { return items_[head_ & (N - 1)]; }
  T &at(std::size_t index) { return items_[(head_ + index) & (N - 1)]; }
  void push(const T &item) { items_[tail_++ & (N - 1)] = item; }
  void pop() { ++head_; }
  void clear() { head_ = tail_ = 0; }

 private:
  std::array<T, N> items_{};
  std::size_t head_ = 0, tail_ = 0;
};

/// The first rule of the bus that the NIC broke; the simulation stops with it.
struct Violation {
  std::array<char, 240> text{};
  bool set() const { return text[0] != 0; }
};

}  // namespace tupelo
