// Models of ECP5's cells that gradloom's designs for it are made of, for simulators of Verilog-2005.
// Not for synthesis: a tool for ECP5 knows these cells.

// Packages of several names bring the same models to one design.
`ifndef GRADLOOM_MODELS_ECP5
`define GRADLOOM_MODELS_ECP5

// verilator lint_off DECLFILENAME
// verilator lint_off UNUSEDSIGNAL
// verilator lint_off UNUSEDPARAM
// verilator lint_off UNDRIVEN
// verilator lint_off WIDTH
`timescale 1ns / 1ps

// The multiplier block, as far as it is used here: signed or unsigned operands, and the registers for
// operands, in the middle and for the product, each by itself, all on CLK0 with CE0 and RST0. The
// register of an operand is that of its SIGNED input too. A product's own signedness, cascades and
// the C input are left out. A clock divider that is ENABLED, as it is by default, is what lets a
// register take a value at every rising edge.
module MULT18X18D (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input CLK0, CLK1, CLK2, CLK3, CE0, CE1, CE2, CE3, RST0, RST1, RST2, RST3,
    input SRIA17, SRIA16, SRIA15, SRIA14, SRIA13, SRIA12, SRIA11, SRIA10, SRIA9,
    input SRIA8, SRIA7, SRIA6, SRIA5, SRIA4, SRIA3, SRIA2, SRIA1, SRIA0,
    input SRIB17, SRIB16, SRIB15, SRIB14, SRIB13, SRIB12, SRIB11, SRIB10, SRIB9,
    input SRIB8, SRIB7, SRIB6, SRIB5, SRIB4, SRIB3, SRIB2, SRIB1, SRIB0,
    output SROA17, SROA16, SROA15, SROA14, SROA13, SROA12, SROA11, SROA10, SROA9,
    output SROA8, SROA7, SROA6, SROA5, SROA4, SROA3, SROA2, SROA1, SROA0,
    output SROB17, SROB16, SROB15, SROB14, SROB13, SROB12, SROB11, SROB10, SROB9,
    output SROB8, SROB7, SROB6, SROB5, SROB4, SROB3, SROB2, SROB1, SROB0,
    output ROA17, ROA16, ROA15, ROA14, ROA13, ROA12, ROA11, ROA10, ROA9,
    output ROA8, ROA7, ROA6, ROA5, ROA4, ROA3, ROA2, ROA1, ROA0,
    output ROB17, ROB16, ROB15, ROB14, ROB13, ROB12, ROB11, ROB10, ROB9,
    output ROB8, ROB7, ROB6, ROB5, ROB4, ROB3, ROB2, ROB1, ROB0,
    output ROC17, ROC16, ROC15, ROC14, ROC13, ROC12, ROC11, ROC10, ROC9,
    output ROC8, ROC7, ROC6, ROC5, ROC4, ROC3, ROC2, ROC1, ROC0,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    output P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0,
    output SIGNEDP
);
    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTA_CE = "CE0";
    parameter REG_INPUTA_RST = "RST0";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_INPUTB_CE = "CE0";
    parameter REG_INPUTB_RST = "RST0";
    parameter REG_INPUTC_CLK = "NONE";
    parameter REG_INPUTC_CE = "CE0";
    parameter REG_INPUTC_RST = "RST0";
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_PIPELINE_CE = "CE0";
    parameter REG_PIPELINE_RST = "RST0";
    parameter REG_OUTPUT_CLK = "NONE";
    parameter REG_OUTPUT_CE = "CE0";
    parameter REG_OUTPUT_RST = "RST0";
    parameter [127:0] CLK0_DIV = "ENABLED";
    parameter [127:0] CLK1_DIV = "ENABLED";
    parameter [127:0] CLK2_DIV = "ENABLED";
    parameter [127:0] CLK3_DIV = "ENABLED";
    parameter [127:0] GSR = "ENABLED";
    parameter [127:0] SOURCEB_MODE = "B_SHIFT";
    parameter [127:0] RESETMODE = "SYNC";

    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};

    reg [18:0] a_taken = 0, b_taken = 0;
    reg [35:0] product_middle = 0, product_out = 0;

    wire signed [18:0] a_signed = REG_INPUTA_CLK == "NONE" ? {SIGNEDA & a[17], a} : a_taken;
    wire signed [18:0] b_signed = REG_INPUTB_CLK == "NONE" ? {SIGNEDB & b[17], b} : b_taken;
    wire signed [37:0] product = a_signed * b_signed;
    wire [35:0] middle = REG_PIPELINE_CLK == "NONE" ? product[35:0] : product_middle;

    always @(posedge CLK0) begin
        if (RST0) begin
            a_taken <= 0;
            b_taken <= 0;
            product_middle <= 0;
            product_out <= 0;
        end else if (CE0) begin
            a_taken <= {SIGNEDA & a[17], a};
            b_taken <= {SIGNEDB & b[17], b};
            product_middle <= product[35:0];
            product_out <= middle;
        end
    end

    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
            P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0}
        = REG_OUTPUT_CLK == "NONE" ? middle : product_out;
    assign SIGNEDP = SIGNEDA | SIGNEDB;

    function known(input [127:0] clock, input [127:0] enable, input [127:0] reset);
        known = clock == "NONE" || (clock == "CLK0" && enable == "CE0" && reset == "RST0");
    endfunction

    initial begin
        if (!known(REG_INPUTA_CLK, REG_INPUTA_CE, REG_INPUTA_RST)
            || !known(REG_INPUTB_CLK, REG_INPUTB_CE, REG_INPUTB_RST)
            || !known(REG_PIPELINE_CLK, REG_PIPELINE_CE, REG_PIPELINE_RST)
            || !known(REG_OUTPUT_CLK, REG_OUTPUT_CE, REG_OUTPUT_RST)
            || REG_INPUTC_CLK != "NONE" || RESETMODE != "SYNC" || CLK0_DIV != "ENABLED") begin
            $display("MULT18X18D: this model knows CLK0, CE0 and RST0 alone");
            $finish;
        end
    end
endmodule

// Two bits of a carry chain: each a look-up table of four inputs whose low four entries say what the
// bit generates where it does not propagate.
module CCU2C (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    parameter [15:0] INIT0 = 0;
    parameter [15:0] INIT1 = 0;
    parameter INJECT1_0 = "YES";
    parameter INJECT1_1 = "YES";

    wire propagates_0 = INIT0[{D0, C0, B0, A0}];
    wire propagates_1 = INIT1[{D1, C1, B1, A1}];
    wire generates_0 = INJECT1_0 != "YES" && INIT0[{2'b00, B0, A0}];
    wire generates_1 = INJECT1_1 != "YES" && INIT1[{2'b00, B1, A1}];
    wire carry = propagates_0 ? CIN : generates_0;

    assign S0 = propagates_0 ^ (INJECT1_0 != "YES" && CIN);
    assign S1 = propagates_1 ^ (INJECT1_1 != "YES" && carry);
    assign COUT = propagates_1 ? carry : generates_1;
endmodule

// The block RAM, as far as it is used here: two ports of one width up to 18 bits, which read or write,
// or one word of 36 bits, of which A writes and B reads, on one clock; registers at the outputs or
// none, no resets and no selects. A port that writes keeps its outputs (NORMAL) or reads the old word
// (READBEFOREWRITE). A word that one port reads in the clock in which the other one writes it is the
// old one here and not defined in the device.
module DP16KD (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
        DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
        DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
        DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
        DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
    parameter integer DATA_WIDTH_A = 18;
    parameter integer DATA_WIDTH_B = 18;
    parameter [127:0] REGMODE_A = "NOREG";
    parameter [127:0] REGMODE_B = "NOREG";
    parameter [127:0] RESETMODE = "SYNC";
    parameter [127:0] ASYNC_RESET_RELEASE = "SYNC";
    parameter [127:0] CSDECODE_A = "0b000";
    parameter [127:0] CSDECODE_B = "0b000";
    parameter [127:0] WRITEMODE_A = "NORMAL";
    parameter [127:0] WRITEMODE_B = "NORMAL";
    parameter [127:0] CLKAMUX = "CLKA";
    parameter [127:0] CLKBMUX = "CLKB";
    parameter [127:0] GSR = "ENABLED";

    wire [35:0] given = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
        DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
        DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0
    };
    wire [13:0] at_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7,
                        ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] at_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7,
                        ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};

    // Bytes of nine bits; words of one, two or four bits leave the ninth out.
    reg [8:0] bytes [0:2047];
    reg [17:0] read_a = 0, read_b = 0, out_a = 0, out_b = 0;
    integer n;
    initial for (n = 0; n < 2048; n = n + 1) bytes[n] = 0;

    // The word of one, two or four bits within a byte.
    function [17:0] part(input [8:0] byte_read, input [2:0] place, input integer width);
        part = (byte_read >> place) & ((18'd1 << width) - 18'd1);
    endfunction

    function [8:0] changed(input [8:0] byte_read, input [2:0] place, input integer width,
                           input [8:0] value);
        changed = (byte_read & ~(((9'd1 << width) - 9'd1) << place))
            | ((value & ((9'd1 << width) - 9'd1)) << place);
    endfunction

    localparam WIDE = DATA_WIDTH_A == 36;

    always @(posedge CLKA) begin
        if (OCEA) out_a <= read_a;
        if (CEA && WEA) begin
            if (WIDE) begin
                if (at_a[0]) bytes[{at_a[13:5], 2'd0}] <= given[8:0];
                if (at_a[1]) bytes[{at_a[13:5], 2'd1}] <= given[17:9];
                if (at_a[2]) bytes[{at_a[13:5], 2'd2}] <= given[26:18];
                if (at_a[3]) bytes[{at_a[13:5], 2'd3}] <= given[35:27];
            end else if (DATA_WIDTH_A == 18) begin
                if (at_a[0]) bytes[{at_a[13:4], 1'd0}] <= given[8:0];
                if (at_a[1]) bytes[{at_a[13:4], 1'd1}] <= given[17:9];
            end else if (DATA_WIDTH_A == 9)
                bytes[at_a[13:3]] <= given[8:0];
            else
                bytes[at_a[13:3]]
                    <= changed(bytes[at_a[13:3]], at_a[2:0], DATA_WIDTH_A, given[8:0]);
        end
        if (WIDE) begin
            if (CEB) read_a <= {bytes[{at_b[13:5], 2'd1}], bytes[{at_b[13:5], 2'd0}]};
        end else if (CEA && (!WEA || WRITEMODE_A != "NORMAL")) begin
            if (DATA_WIDTH_A == 18)
                read_a <= {bytes[{at_a[13:4], 1'd1}], bytes[{at_a[13:4], 1'd0}]};
            else if (DATA_WIDTH_A == 9)
                read_a <= bytes[at_a[13:3]];
            else
                read_a <= part(bytes[at_a[13:3]], at_a[2:0], DATA_WIDTH_A);
        end
        if (OCEB) out_b <= read_b;
        if (!WIDE && CEB && WEB) begin
            if (DATA_WIDTH_B == 18) begin
                if (at_b[0]) bytes[{at_b[13:4], 1'd0}] <= given[26:18];
                if (at_b[1]) bytes[{at_b[13:4], 1'd1}] <= given[35:27];
            end else if (DATA_WIDTH_B == 9)
                bytes[at_b[13:3]] <= given[26:18];
            else
                bytes[at_b[13:3]]
                    <= changed(bytes[at_b[13:3]], at_b[2:0], DATA_WIDTH_B, given[26:18]);
        end
        if (WIDE) begin
            if (CEB) read_b <= {bytes[{at_b[13:5], 2'd3}], bytes[{at_b[13:5], 2'd2}]};
        end else if (CEB && (!WEB || WRITEMODE_B != "NORMAL")) begin
            if (DATA_WIDTH_B == 18)
                read_b <= {bytes[{at_b[13:4], 1'd1}], bytes[{at_b[13:4], 1'd0}]};
            else if (DATA_WIDTH_B == 9)
                read_b <= bytes[at_b[13:3]];
            else
                read_b <= part(bytes[at_b[13:3]], at_b[2:0], DATA_WIDTH_B);
        end
    end

    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
            DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0}
        = REGMODE_A == "OUTREG" ? out_a : read_a;
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
            DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0}
        = REGMODE_B == "OUTREG" ? out_b : read_b;

    initial begin
        if (DATA_WIDTH_A != DATA_WIDTH_B || WRITEMODE_A == "WRITETHROUGH"
            || WRITEMODE_B == "WRITETHROUGH" || CSDECODE_A != "0b000" || CSDECODE_B != "0b000"
            || CLKAMUX != "CLKA" || CLKBMUX != "CLKB") begin
            $display("DP16KD: this model knows two ports of one width, and no resets");
            $finish;
        end
    end
endmodule

`endif
