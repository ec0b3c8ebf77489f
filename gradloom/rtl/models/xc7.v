// A model of the 7-series' DSP block as gradloom's designs for it use it, for simulators of
// Verilog-2005. Not for synthesis: a tool for these devices knows the block.

// Packages of several names bring the same models to one design.
`ifndef GRADLOOM_MODELS_XC7
`define GRADLOOM_MODELS_XC7

// verilator lint_off DECLFILENAME
// verilator lint_off UNUSEDSIGNAL
// verilator lint_off UNUSEDPARAM
// verilator lint_off UNDRIVEN
// verilator lint_off WIDTH
`timescale 1ns / 1ps

// Signed operands with one or two registers, then either their product, with a register, or both
// side by side; to that C, zero or the sum so far is added. Enables and resets, the pre-adder,
// subtraction and logic, the carry's other sources, cascades and SIMD are left out.
module DSP48E1 (
    output [29:0] ACOUT,
    output [17:0] BCOUT,
    output CARRYCASCOUT,
    output [3:0] CARRYOUT,
    output MULTSIGNOUT,
    output OVERFLOW,
    output reg [47:0] P,
    output reg PATTERNBDETECT,
    output reg PATTERNDETECT,
    output [47:0] PCOUT,
    output UNDERFLOW,
    input [29:0] A,
    input [29:0] ACIN,
    input [3:0] ALUMODE,
    input [17:0] B,
    input [17:0] BCIN,
    input [47:0] C,
    input CARRYCASCIN,
    input CARRYIN,
    input [2:0] CARRYINSEL,
    input CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE, CEM, CEP,
    input CLK,
    input [24:0] D,
    input [4:0] INMODE,
    input MULTSIGNIN,
    input [6:0] OPMODE,
    input [47:0] PCIN,
    input RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM, RSTP
);
    parameter AREG = 1;
    parameter BREG = 1;
    parameter MREG = 1;
    parameter OPMODEREG = 1;
    parameter [127:0] USE_MULT = "MULTIPLY";
    parameter [127:0] USE_PATTERN_DETECT = "NO_PATDET";
    parameter [47:0] PATTERN = 48'h000000000000;
    parameter [47:0] MASK = 48'h3fffffffffff;

    reg [29:0] a_first = 0, a_second = 0;
    reg [17:0] b_first = 0, b_second = 0;
    reg [47:0] c_taken = 0;
    reg [6:0] mode_taken = 0;
    reg signed [42:0] product = 0;

    wire signed [24:0] a_factor = a_second[24:0];
    wire signed [17:0] b_factor = b_second;
    wire [6:0] mode = OPMODEREG ? mode_taken : OPMODE;
    wire [47:0] added
        = mode[3:0] == 4'b0101 ? {{5{product[42]}}, product}
        : mode[3:0] == 4'b0011 ? {a_second, b_second} : 0;
    wire [47:0] kept = mode[6:4] == 3'b010 ? P : mode[6:4] == 3'b011 ? c_taken : 0;
    wire [47:0] sum = kept + added;

    initial begin
        P = 0;
        PATTERNDETECT = 0;
        PATTERNBDETECT = 0;
    end

    always @(posedge CLK) begin
        a_first <= A;
        a_second <= AREG == 2 ? a_first : A;
        b_first <= B;
        b_second <= BREG == 2 ? b_first : B;
        c_taken <= C;
        mode_taken <= OPMODE;
        product <= a_factor * b_factor;
        P <= sum;
        PATTERNDETECT <= &(~(sum ^ PATTERN) | MASK);
        PATTERNBDETECT <= &(sum ^ PATTERN | MASK);
    end

    initial
        if (AREG < 1 || BREG < 1 || MREG != (USE_MULT == "MULTIPLY")) begin
            $display("DSP48E1: this model has registers for operands and for a product");
            $finish;
        end
endmodule

`endif
