// SPDX-License-Identifier: Apache-2.0
// What tupelo_fast_top.sv imports. Wide values come and go as arrays of 32-bit words, so bytes need no shuffling on a
// little-endian host.
#include <svdpi.h>

#include <bit>
#include <cstring>

#include "fast_model.h"

static_assert(std::endian::native == std::endian::little, "beats are copied as they lie in memory");

namespace {
using tupelo::model;
const uint8_t *bytes(const svBitVecVal *words) { return reinterpret_cast<const uint8_t *>(words); }
uint8_t *bytes(svBitVecVal *words) { return reinterpret_cast<uint8_t *>(words); }
}  // namespace

extern "C" {

void fast_begin(int beat_bytes) { model().set_beat_bytes(static_cast<uint32_t>(beat_bytes)); }

int fast_tick(int busy) { return static_cast<int>(model().tick(busy != 0)); }

const char *fast_fatal_text() { return model().fatal_text(); }

void fast_read(uint64_t addr, int id, int len, int size, int burst, int user) {
  model().memory.accept_read({addr, static_cast<uint8_t>(id), static_cast<uint8_t>(len), static_cast<uint8_t>(user)},
                             static_cast<uint32_t>(size), static_cast<uint32_t>(burst));
}

void fast_write(uint64_t addr, int id, int len, int size, int burst, int user) {
  model().memory.accept_write({addr, static_cast<uint8_t>(id), static_cast<uint8_t>(len), static_cast<uint8_t>(user)},
                              static_cast<uint32_t>(size), static_cast<uint32_t>(burst));
}

void fast_write_data(const svBitVecVal *data, uint64_t strobe, int last) {
  model().memory.accept_data(bytes(data), strobe, last != 0);
}

void fast_read_data(svBitVecVal *data, unsigned *id, unsigned *response, unsigned *last) {
  model().memory.pop_read(bytes(data), *id, *response, *last);
}

void fast_write_response(unsigned *id, unsigned *response) { model().memory.pop_response(*id, *response); }

void fast_tx(const svBitVecVal *data, uint64_t keep, int last) { model().wire.accept(bytes(data), keep, last != 0); }

void fast_rx(svBitVecVal *data, uint64_t *keep, unsigned *last, unsigned *bad) {
  model().wire.pop(bytes(data), *keep, *last, *bad);
}

void fast_msix(uint64_t addr, unsigned data) { model().message(addr, data); }

void fast_bar_next(unsigned *write, unsigned *addr, unsigned *data, unsigned *strobe) {
  const tupelo::BarOp op = model().pop_bar();
  *write = op.write;
  *addr = op.addr;
  *data = op.data;
  *strobe = op.strobe;
}

void fast_bar_done(unsigned data, int is_read, int response) {
  model().finish_bar(data, is_read != 0, static_cast<uint32_t>(response));
}

void fast_straps(uint64_t *mac, unsigned *mtu, unsigned *link_up) {
  *mac = model().mac;
  *mtu = model().mtu;
  *link_up = model().link_up;
}

int64_t fast_stop() { return model().stop(); }
void fast_resume(uint64_t cycle) { model().resume(cycle); }

}  // extern "C"
