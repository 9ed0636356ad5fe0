// SPDX-License-Identifier: Apache-2.0
// tupelo_pkg - types and ring arithmetic shared by the datapath
// VIRTIO 1.2 section 2.8 (packed virtqueues) and 5.1 (network device).
`default_nettype none
package tupelo_pkg;

  // Sizes fixed by the specification or by the AXI interface.
  localparam integer HdrBytes = 12;  // struct virtio_net_hdr with num_buffers, VIRTIO 1.2 section 5.1.6
  localparam integer FrameMinBytes = 14;  // an Ethernet header, without FCS
  localparam integer FrameMaxBytes = 9728;  // without FCS
  localparam integer BurstBytes = 256;  // no AXI burst crosses a multiple of this, so none crosses 4 KiB
  localparam integer DescBytes = 16;

  // Descriptor flag bits, VIRTIO 1.2 section 2.8.1 and 2.8.6.
  localparam integer DescNext = 0;
  localparam integer DescWrite = 1;
  localparam integer DescIndirect = 2;
  localparam integer DescAvail = 7;
  localparam integer DescUsed = 15;

  // Values of the flags field of an event suppression structure, VIRTIO 1.2 section 2.8.10.
  localparam logic [1:0] EventEnable = 2'd0;
  localparam logic [1:0] EventDisable = 2'd1;
  localparam logic [1:0] EventDesc = 2'd2;

  // Read IDs: 0..127 are data slots, the top half is the control readers'.
  localparam logic [7:0] ReadIdDesc = 8'h80;
  localparam logic [7:0] ReadIdEvent = 8'h81;
  // Write IDs: the virtqueue for data and used descriptors, with the top bit set for its event structure.
  localparam logic [7:0] WriteIdEvent = 8'h80;

  typedef logic [6:0] vq_t;  // virtqueue index, up to 2 * 64

  // A place in a ring: slot index and wrap counter, laid out as the specification's off_wrap.
  typedef struct packed {
    logic        wrap;
    logic [14:0] idx;
  } ring_pos_t;

  localparam ring_pos_t RingStart = '{wrap: 1'b1, idx: 15'd0};

  typedef struct packed {
    logic [15:0] flags;
    logic [15:0] id;
    logic [31:0] len;
    logic [63:0] addr;
  } desc_t;

  typedef struct packed {
    logic [15:0] size;
    logic [15:0] vector;
    logic [63:0] desc;
    logic [63:0] driver;
    logic [63:0] device;
  } queue_cfg_t;

  // A chain that the device has finished with.
  typedef struct packed {
    vq_t         vq;
    logic [15:0] id;  // buffer ID of the chain
    logic [15:0] chain_descs;  // descriptors in the chain
    logic [31:0] len_bytes;  // bytes written, 0 for a transmit chain
  } completion_t;

  typedef struct packed {
    logic        valid;
    vq_t         vq;
    tupelo_regs_pkg::stop_reason_e reason;
    ring_pos_t   pos;  // of the descriptor at fault, 0 where there is none
    logic [63:0] addr;
  } queue_error_t;

  // Position n_descs (0..size) further on in a ring of size slots, which need not be a power of two.
  function automatic ring_pos_t ring_advance(input ring_pos_t pos, input logic [15:0] n_descs, input logic [15:0] size);
    logic [16:0] sum;
    sum = {2'b00, pos.idx} + {1'b0, n_descs};
    if (sum >= {1'b0, size}) begin
      sum = sum - {1'b0, size};
      ring_advance = '{wrap: !pos.wrap, idx: sum[14:0]};
    end else begin
      ring_advance = '{wrap: pos.wrap, idx: sum[14:0]};
    end
  endfunction

  // Slots from position a forward to position b, 0..size (equal index with other wrap is a full turn).
  function automatic logic [15:0] ring_distance(input ring_pos_t a, input ring_pos_t b, input logic [15:0] size);
    if (a.wrap == b.wrap) ring_distance = {1'b0, b.idx} - {1'b0, a.idx};
    else ring_distance = {1'b0, b.idx} + size - {1'b0, a.idx};
  endfunction

  // An available descriptor at pos has AVAIL equal to the wrap counter and USED not, VIRTIO 1.2 section 2.8.1.
  function automatic logic desc_is_avail(input logic [15:0] flags, input logic wrap);
    desc_is_avail = flags[DescAvail] == wrap && flags[DescUsed] != wrap;
  endfunction

endpackage
`default_nettype wire
