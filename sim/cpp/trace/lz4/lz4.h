// SPDX-License-Identifier: Apache-2.0
// Stand-in for liblz4 on machines that lack its header: valid LZ4 blocks made of literals only, so that FST traces can
// be written without one more package. Format: LZ4 block format, one last sequence with no match.
#pragma once

#include <cstring>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline int LZ4_compress_default(const char *source, char *target, int size, int capacity) {
  if (capacity < LZ4_compressBound(size)) return 0;
  unsigned char *out = reinterpret_cast<unsigned char *>(target);
  int rest = size - 15;
  *out++ = static_cast<unsigned char>((size < 15 ? size : 15) << 4);
  for (; rest >= 255; rest -= 255) *out++ = 255;
  if (size >= 15) *out++ = static_cast<unsigned char>(rest);
  std::memcpy(out, source, static_cast<size_t>(size));
  return static_cast<int>(reinterpret_cast<char *>(out) - target) + size;
}
