// Models of Gowin's cells that gradloom's designs for it are made of, for simulators of Verilog-2005.
// Not for synthesis: a tool for Gowin knows these cells.

// Packages of several names bring the same models to one design.
`ifndef GRADLOOM_MODELS_GOWIN
`define GRADLOOM_MODELS_GOWIN

// verilator lint_off DECLFILENAME
// verilator lint_off UNUSEDSIGNAL
// verilator lint_off UNUSEDPARAM
// verilator lint_off WIDTH
`timescale 1ns / 1ps

// What the multiplier blocks have in common, as far as it is used here: operands that each are signed
// or not, and registers for operands, in the middle and for the product, each by itself, all on CLK
// with CE and a synchronous RESET. Registers for the signs are left out, and so are cascades: an
// operand that would come through one (ASEL, BSEL) is unknown.
module gradloom_gowin_multiplier (A, B, ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET, DOUT);
    parameter WIDTH = 18;
    parameter AREG = 1'b0;
    parameter BREG = 1'b0;
    parameter PIPE_REG = 1'b0;
    parameter OUT_REG = 1'b0;
    parameter LEFT_OUT = 1'b0;

    input [WIDTH-1:0] A, B;
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET;
    output [2*WIDTH-1:0] DOUT;

    wire [WIDTH-1:0] a_given = ASEL ? {WIDTH{1'bx}} : A;
    wire [WIDTH-1:0] b_given = BSEL ? {WIDTH{1'bx}} : B;

    reg [WIDTH-1:0] a_taken = 0, b_taken = 0;
    reg [2*WIDTH-1:0] product_middle = 0, product_out = 0;

    wire [WIDTH-1:0] a = AREG ? a_taken : a_given;
    wire [WIDTH-1:0] b = BREG ? b_taken : b_given;
    wire signed [WIDTH:0] a_signed = {ASIGN & a[WIDTH-1], a};
    wire signed [WIDTH:0] b_signed = {BSIGN & b[WIDTH-1], b};
    wire signed [2*WIDTH+1:0] product = a_signed * b_signed;
    wire [2*WIDTH-1:0] middle = PIPE_REG ? product_middle : product[2*WIDTH-1:0];

    assign DOUT = OUT_REG ? product_out : middle;

    always @(posedge CLK) begin
        if (RESET) begin
            a_taken <= 0;
            b_taken <= 0;
            product_middle <= 0;
            product_out <= 0;
        end else if (CE) begin
            a_taken <= a_given;
            b_taken <= b_given;
            product_middle <= product[2*WIDTH-1:0];
            product_out <= middle;
        end
    end

    initial begin
        if (LEFT_OUT) begin
            $display("MULT%0dX%0d: this model has SYNC resets and AREG, BREG, PIPE_REG, OUT_REG alone",
                     WIDTH, WIDTH);
            $finish;
        end
    end
endmodule

module MULT18X18 (
    input [17:0] A, B, SIA, SIB,
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [35:0] DOUT,
    output [17:0] SOA, SOB
);
    parameter AREG = 1'b0;
    parameter BREG = 1'b0;
    parameter OUT_REG = 1'b0;
    parameter PIPE_REG = 1'b0;
    parameter ASIGN_REG = 1'b0;
    parameter BSIGN_REG = 1'b0;
    parameter SOA_REG = 1'b0;
    parameter [39:0] MULT_RESET_MODE = "SYNC";

    gradloom_gowin_multiplier #(
        .WIDTH(18), .AREG(AREG), .BREG(BREG), .PIPE_REG(PIPE_REG), .OUT_REG(OUT_REG),
        .LEFT_OUT(ASIGN_REG || BSIGN_REG || SOA_REG || MULT_RESET_MODE != "SYNC")
    ) block (
        .A(A), .B(B), .ASIGN(ASIGN), .BSIGN(BSIGN), .ASEL(ASEL), .BSEL(BSEL), .CE(CE), .CLK(CLK),
        .RESET(RESET), .DOUT(DOUT)
    );
    assign SOA = 0;
    assign SOB = 0;
endmodule

module MULT9X9 (
    input [8:0] A, B, SIA, SIB,
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [17:0] DOUT,
    output [8:0] SOA, SOB
);
    parameter AREG = 1'b0;
    parameter BREG = 1'b0;
    parameter OUT_REG = 1'b0;
    parameter PIPE_REG = 1'b0;
    parameter ASIGN_REG = 1'b0;
    parameter BSIGN_REG = 1'b0;
    parameter SOA_REG = 1'b0;
    parameter [39:0] MULT_RESET_MODE = "SYNC";

    gradloom_gowin_multiplier #(
        .WIDTH(9), .AREG(AREG), .BREG(BREG), .PIPE_REG(PIPE_REG), .OUT_REG(OUT_REG),
        .LEFT_OUT(ASIGN_REG || BSIGN_REG || SOA_REG || MULT_RESET_MODE != "SYNC")
    ) block (
        .A(A), .B(B), .ASIGN(ASIGN), .BSIGN(BSIGN), .ASEL(ASEL), .BSEL(BSEL), .CE(CE), .CLK(CLK),
        .RESET(RESET), .DOUT(DOUT)
    );
    assign SOA = 0;
    assign SOB = 0;
endmodule

// A bit of a carry chain in two of its modes: ADD (0), I0, I1 and the carry; MULT (9), I0 & I1, I3 and
// the carry.
module ALU (
    input I0, I1, I3, CIN,
    output SUM, COUT
);
    parameter ALU_MODE = 0;

    wire one = ALU_MODE == 9 ? I0 & I1 : I0;
    wire other = ALU_MODE == 9 ? I3 : I1;

    assign SUM = one ^ other ^ CIN;
    assign COUT = (one & other) | (one & CIN) | (other & CIN);

    initial begin
        if (ALU_MODE != 0 && ALU_MODE != 9) begin
            $display("ALU: this model knows the modes 0 (ADD) and 9 (MULT) alone");
            $finish;
        end
    end
endmodule

`endif
