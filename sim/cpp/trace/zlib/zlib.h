// SPDX-License-Identifier: Apache-2.0
// Stand-in for zlib on machines that lack its header: valid zlib streams of stored blocks (RFC 1950, RFC 1951 3.2.4),
// so that FST traces can be written without one more package; they come out larger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

using Bytef = unsigned char;
using uLong = unsigned long;
using uLongf = unsigned long;
constexpr int Z_OK = 0;
constexpr int Z_BUF_ERROR = -5;

inline uLong compressBound(uLong size) { return size + 5 * (size / 65535 + 1) + 6; }

inline int compress2(Bytef *target, uLongf *capacity, const Bytef *source, uLong size, int) {
  if (*capacity < compressBound(size)) return Z_BUF_ERROR;
  Bytef *out = target;
  *out++ = 0x78;
  *out++ = 0x01;
  uint32_t a = 1, b = 0;  // Adler-32
  for (uLong i = 0; i < size; ++i) {
    a = (a + source[i]) % 65521;
    b = (b + a) % 65521;
  }
  uLong done = 0;
  do {
    const uLong part = size - done < 65535 ? size - done : 65535;
    *out++ = done + part == size;  // BFINAL, BTYPE 00
    *out++ = static_cast<Bytef>(part);
    *out++ = static_cast<Bytef>(part >> 8);
    *out++ = static_cast<Bytef>(~part);
    *out++ = static_cast<Bytef>(~part >> 8);
    std::memcpy(out, source + done, part);
    out += part;
    done += part;
  } while (done < size);
  for (const uint32_t half : {b, a}) {
    *out++ = static_cast<Bytef>(half >> 8);
    *out++ = static_cast<Bytef>(half);
  }
  *capacity = static_cast<uLongf>(out - target);
  return Z_OK;
}
