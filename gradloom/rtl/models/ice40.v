// A model of iCE40 UltraPlus's multiplier block as gradloom's designs use it, for simulators of
// Verilog-2005. Not for synthesis: a tool for iCE40 knows this cell. Yosys wants synth_ice40 without
// -dsp for a design that has one: with it, it would take out registers that are in the block.

// Packages of several names bring the same models to one design.
`ifndef GRADLOOM_MODELS_ICE40
`define GRADLOOM_MODELS_ICE40

// verilator lint_off DECLFILENAME
// verilator lint_off UNUSEDSIGNAL
// verilator lint_off UNUSEDPARAM
// verilator lint_off UNDRIVEN
// verilator lint_off WIDTH
`timescale 1ns / 1ps

// Two uses, told apart by MODE_8x8. As one multiplier of 16 x 16 bits: registers for the operands,
// for the partial products, for the product and for the sum O of the product and {C, D}. As two of
// 8 x 8 bits, in the upper and the lower halves of all ports: registers for the operands, for the
// products, and for the sums of the products and C and D, with no carry between them. Either with
// every register at the rising edge of CLK while CE is high, and with signed or unsigned operands.
// Other parameters end the simulation; other inputs make the sum unknown, and so do those in use that
// are not connected.
module SB_MAC16 (
    input CLK, CE,
    input [15:0] C, A, B, D,
    input AHOLD, BHOLD, CHOLD, DHOLD,
    input IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT,
    input OLOADTOP, OLOADBOT, ADDSUBTOP, ADDSUBBOT, OHOLDTOP, OHOLDBOT,
    input CI, ACCUMCI, SIGNEXTIN,
    output [31:0] O,
    output CO, ACCUMCO, SIGNEXTOUT
);
    parameter [0:0] NEG_TRIGGER = 0;
    parameter [0:0] A_REG = 0;
    parameter [0:0] B_REG = 0;
    parameter [0:0] C_REG = 0;
    parameter [0:0] D_REG = 0;
    parameter [0:0] TOP_8x8_MULT_REG = 0;
    parameter [0:0] BOT_8x8_MULT_REG = 0;
    parameter [0:0] PIPELINE_16x16_MULT_REG1 = 0;
    parameter [0:0] PIPELINE_16x16_MULT_REG2 = 0;
    parameter [1:0] TOPOUTPUT_SELECT = 0;
    parameter [1:0] TOPADDSUB_LOWERINPUT = 0;
    parameter [0:0] TOPADDSUB_UPPERINPUT = 0;
    parameter [1:0] TOPADDSUB_CARRYSELECT = 0;
    parameter [1:0] BOTOUTPUT_SELECT = 0;
    parameter [1:0] BOTADDSUB_LOWERINPUT = 0;
    parameter [0:0] BOTADDSUB_UPPERINPUT = 0;
    parameter [1:0] BOTADDSUB_CARRYSELECT = 0;
    parameter [0:0] MODE_8x8 = 0;
    parameter [0:0] A_SIGNED = 0;
    parameter [0:0] B_SIGNED = 0;

    reg [15:0] a = 0, b = 0;
    reg [31:0] product_1 = 0, product_2 = 0, sum = 0;

    function signed [32:0] whole(input [15:0] x, input [15:0] y);
        whole = $signed({A_SIGNED & x[15], x}) * $signed({B_SIGNED & y[15], y});
    endfunction

    function signed [16:0] half(input [7:0] x, input [7:0] y);
        half = $signed({A_SIGNED & x[7], x}) * $signed({B_SIGNED & y[7], y});
    endfunction

    wire [32:0] single = whole(a, b);
    wire [16:0] upper = half(a[15:8], b[15:8]);
    wire [16:0] lower = half(a[7:0], b[7:0]);
    wire [15:0] upper_sum = product_1[31:16] + C;
    wire [15:0] lower_sum = product_1[15:0] + D;
    wire other = AHOLD | BHOLD | CHOLD | DHOLD | IRSTTOP | IRSTBOT | ORSTTOP | ORSTBOT | OLOADTOP
        | OLOADBOT | ADDSUBTOP | ADDSUBBOT | OHOLDTOP | OHOLDBOT | CI | ACCUMCI | SIGNEXTIN;

    always @(posedge CLK) begin
        if (CE) begin
            a <= A;
            b <= B;
            // Those of the partial products in the block: what is seen of them is their clock.
            product_1 <= MODE_8x8 ? {upper[15:0], lower[15:0]} : single[31:0];
            product_2 <= product_1;
            sum <= other !== 0 ? 32'bx
                : MODE_8x8 ? {upper_sum, lower_sum} : product_2 + {C, D};
        end
    end

    assign O = sum;

    // Output select 1 is the register behind the adder; lower input 2 the product of 16 x 16 bits, 1
    // that of 8 x 8; carry select 2 the lower adder's carry.
    localparam known = !NEG_TRIGGER && A_REG && B_REG && !C_REG && !D_REG
        && TOP_8x8_MULT_REG && BOT_8x8_MULT_REG
        && PIPELINE_16x16_MULT_REG1 == !MODE_8x8 && PIPELINE_16x16_MULT_REG2 == !MODE_8x8
        && TOPOUTPUT_SELECT == 1 && BOTOUTPUT_SELECT == 1
        && TOPADDSUB_LOWERINPUT == (MODE_8x8 ? 1 : 2)
        && BOTADDSUB_LOWERINPUT == (MODE_8x8 ? 1 : 2)
        && TOPADDSUB_UPPERINPUT && BOTADDSUB_UPPERINPUT
        && TOPADDSUB_CARRYSELECT == (MODE_8x8 ? 0 : 2) && BOTADDSUB_CARRYSELECT == 0;

    initial begin
        if (!known) begin
            $display("SB_MAC16: this model knows two uses alone, with all registers in either");
            $finish;
        end
    end
endmodule

`endif
