// SPDX-License-Identifier: Apache-2.0
// tupelo_bar_notify - doorbells of the notification area, and the count of bad ones
// Guarantees: a good doorbell gives one notify_valid_o, one cycle after its register write. Bad is one whose
//   address or value is no queue or not the same queue, one without DRIVER_OK, and one for which notify_bad_i
//   comes back; each counts once, the last is remembered. The value is the low half: what NOTIFICATION_DATA
//   puts above it, the place in the ring, is not used, as the ring itself says what is available.
// Clock/reset: clk; rst synchronous, active high. A device reset keeps the count.
// Contract: notify_bad_i comes before the next doorbell (3 cycles) for the remembered value to be exact.
// Spec: VIRTIO 1.2 4.1.4.4, 4.1.5.2. Limits: the count saturates at 2^32 - 1.
`default_nettype none
module tupelo_bar_notify
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,  // virtqueues, 2..128
    localparam integer QIDX_W = $clog2(QUEUES)
) (
    input  wire                                     clk,
    input  wire                                     rst,
    input  tupelo_axil_pkg::axil_bus_t              bus_i,
    input  wire                                     driver_ok_i,
    output logic                                    notify_valid_o,
    output logic                       [QIDX_W-1:0] notify_queue_o,
    input  wire                                     notify_bad_i,
    output logic                       [      31:0] bad_count_o,
    output logic                       [      31:0] bad_last_o       // {index of the address, value}
);
  localparam integer AreaBits = 12;  // the area is 4 KiB

  wire hit = bus_i.wr_p && bus_i.wr_addr[17:AreaBits] == BASE_NOTIFY[17:AreaBits] && bus_i.wr_strb[0];
  wire [15:0] index = 16'(bus_i.wr_addr[AreaBits-1:2]);
  wire [15:0] value = {bus_i.wr_strb[1] ? bus_i.wr_data[15:8] : 8'h00, bus_i.wr_data[7:0]};
  wire good = index < 16'(QUEUES) && value == index && driver_ok_i;
  wire bad = hit && !good;
  wire [32:0] bad_sum = {1'b0, bad_count_o} + 33'(bad) + 33'(notify_bad_i);

  always_ff @(posedge clk) begin
    notify_valid_o <= hit && good;
    if (hit && good) notify_queue_o <= index[QIDX_W-1:0];
    if (bad || notify_bad_i) bad_count_o <= bad_sum[32] ? '1 : bad_sum[31:0];
    if (notify_bad_i) bad_last_o <= {2{16'(notify_queue_o)}};
    if (bad) bad_last_o <= {index, value};
    if (rst) begin
      notify_valid_o <= 1'b0;
      bad_count_o    <= RESET_VENDOR_BAD_DOORBELL_COUNT;
      bad_last_o     <= RESET_VENDOR_BAD_DOORBELL_LAST;
    end
  end

  wire unused = &{
      1'b0, bus_i.wr_addr[1:0], bus_i.wr_data[31:16], bus_i.wr_strb[3:2], bus_i.rd_p, bus_i.rd_addr
  };
endmodule
`default_nettype wire
