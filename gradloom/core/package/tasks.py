"""Tasks of a core's testbench, in Verilog: accesses of registers over each bus, and programs.

Registers are named as the table has them, TB_STATUS for `status`; `constants` says where they are.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from golden.core.edge import Edge
from golden.core.isa import Engine
from golden.core.program import Part
from golden.core.registers import ADDRESS, READ_LATENCY, Registers

#: A task that accesses a register: what it drives, what it looks at in each clock, and what follows
#: from that. All it drives changes between rising edges.
Accesses = dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]
_PLAIN: Accesses = {
    "write": (
        ("bus_address = address;", "bus_value = value;", "bus_write = 1;"),
        (),
        ("bus_write = 0;", "tb_answered = 1;"),
    ),
    "read": (
        ("bus_address = address;", "bus_read = 1;"),
        (),
        (
            "bus_read = 0;",
            f"repeat ({READ_LATENCY}) @(posedge clk);",
            "tb_read = bus_data;",
            "#1;",
            "tb_answered = 1;",
        ),
    ),
}
_AXI: Accesses = {
    "write": (
        (
            "s_axi_awaddr = {address, 2'b00};",
            "s_axi_awvalid = 1;",
            "s_axi_wdata = value;",
            "s_axi_wstrb = 4'hf;",
            "s_axi_wvalid = 1;",
            "s_axi_bready = 1;",
        ),
        (
            "tb_address_taken = s_axi_awready;",
            "tb_value_taken = s_axi_wready;",
            "tb_answered = s_axi_bvalid;",
            "tb_refused = s_axi_bresp != 2'd0;",
        ),
        (
            "if (tb_address_taken) s_axi_awvalid = 0;",
            "if (tb_value_taken) s_axi_wvalid = 0;",
            "if (tb_answered) s_axi_bready = 0;",
        ),
    ),
    "read": (
        ("s_axi_araddr = {address, 2'b00};", "s_axi_arvalid = 1;", "s_axi_rready = 1;"),
        (
            "tb_address_taken = s_axi_arready;",
            "tb_answered = s_axi_rvalid;",
            "tb_refused = s_axi_rresp != 2'd0;",
            "tb_read = s_axi_rdata;",
        ),
        (
            "if (tb_address_taken) s_axi_arvalid = 0;",
            "if (tb_answered) s_axi_rready = 0;",
        ),
    ),
}
_WISHBONE: Accesses = {
    kind: (
        (
            "wb_cyc = 1;",
            "wb_stb = 1;",
            f"wb_we = {int(kind == 'write')};",
            "wb_adr = address;",
            "wb_sel = 4'hf;",
            *(["wb_dat_w = value;"] if kind == "write" else []),
        ),
        ("tb_answered = wb_ack || wb_err;", "tb_refused = wb_err;", "tb_read = wb_dat_r;"),
        ("if (tb_answered) wb_cyc = 0;", "if (tb_answered) wb_stb = 0;"),
    )
    for kind in ("write", "read")
}
#: By edge.
_ACCESSES: dict[Edge, Accesses] = {Edge.NONE: _PLAIN, Edge.AXI: _AXI, Edge.WISHBONE: _WISHBONE}


def accesses(edge: Edge) -> Iterator[str]:
    """Yield the tasks that write and read a register over the edge's bus."""
    yield "  // A register is written or read."
    yield "  reg [31:0] tb_read;"
    yield "  reg tb_address_taken, tb_value_taken, tb_answered, tb_refused;"
    for kind, (drives, sees, follows) in _ACCESSES[edge].items():
        value = ", input [31:0] value" if kind == "write" else ""
        yield f"  task {kind}_register(input [{ADDRESS - 1}:0] address{value});"
        yield from (
            "    begin",
            *(f"      {line}" for line in drives),
            "      tb_answered = 0;",
            "      tb_refused = 0;",
            "      while (!tb_answered) begin",
            "        @(posedge clk);",
            *(f"        {line}" for line in sees),
            "        #1;",
            *(f"        {line}" for line in follows),
            "      end",
            "      if (tb_refused && !tb_failed) begin",
            f'        $display("{kind} of register %h: refused", address);',
            "        tb_failed = 1;",
            "      end",
            "    end",
            "  endtask",
            "",
        )


def constants(table: Registers, text: str) -> list[str]:
    """Return the addresses of the registers that a text names, which count words."""
    named = {name: f"TB_{name.upper()}" for name in (register.name for register in table)}
    words = set(re.findall(r"\w+", text))
    return [
        f"  localparam [{ADDRESS - 1}:0] {constant} = {ADDRESS}'h{table.named(name).address:02x};"
        for name, constant in named.items()
        if constant in words
    ]


def common(table: Registers) -> list[str]:
    """Return what is done with registers in general."""
    running, fault = table.named("status")["running"], table.named("status")["fault"]
    start, where = table.named("control")["start"], table.named("program_at")["list"]
    return [
        "  // What is read must be this.",
        f"  task expect_register(input [{ADDRESS - 1}:0] address, input [31:0] value);",
        "    begin",
        "      read_register(address);",
        "      if (tb_read !== value) begin",
        "        if (!tb_failed)",
        '          $display("register %h: expected %h, got %h", address, value, tb_read);',
        "        tb_failed = 1;",
        "      end",
        "    end",
        "  endtask",
        "",
        "  // Words of an engine's list.",
        "  integer tb_word;",
        "  task load_list(input [31:0] list, input integer first, input integer words);",
        "    begin",
        f"      write_register(TB_PROGRAM_AT, list << {where.first});",
        "      for (tb_word = 0; tb_word < words; tb_word = tb_word + 1)",
        "        write_register(TB_PROGRAM, tb_program[first + tb_word]);",
        "    end",
        "  endtask",
        "",
        "  // States of the generators of the elementwise lanes.",
        "  task load_lane(input integer number);",
        "    begin",
        "      write_register(TB_LANE, number);",
        "      write_register(TB_LANE_HIGH, tb_lanes[number][63:32]);",
        "      write_register(TB_LANE_LOW, tb_lanes[number][31:0]);",
        "    end",
        "  endtask",
        "",
        "  // A program runs, from its start to its end.",
        "  task run(input [31:0] steps);",
        "    begin",
        "      write_register(TB_STEPS, steps);",
        f"      write_register(TB_CONTROL, 32'd{start.mask});",
        f"      tb_read = {running.mask};",
        f"      while (tb_read[{running.first}] && !tb_failed) begin",
        "        read_register(TB_STATUS);",
        f"        if (tb_read[{fault.first}] || tb_clocks > TB_MOST) begin",
        "          if (!tb_failed)",
        '            $display("not done after %0d clocks, status %h", tb_clocks, tb_read);',
        "          tb_failed = 1;",
        "        end",
        "      end",
        "      expect_register(TB_STEPS_DONE, steps);",
        "    end",
        "  endtask",
        "",
    ]


def programs(parts: Sequence[Part]) -> Iterator[str]:
    """Yield a task for each program, which makes it the next one."""
    for name, group in groupby(parts, key=lambda part: part.program):
        lists = {part.engine: part for part in group}
        yield f"  task choose_{name};"
        yield "    begin"
        for part in lists.values():
            yield f"      load_list({int(part.engine)}, {part.at}, {len(part.words)});"
        yield f"      write_register(TB_ENGINES, {sum(1 << engine for engine in lists)});"
        for engine in Engine:
            own = lists.get(engine)
            values = (0, own.last, own.total) if own else (0, 0, 0)
            for kind, value in zip(("FIRST", "LAST", "TOTAL"), values, strict=True):
                yield f"      write_register(TB_{kind}_{engine.name}, {value});"
        yield "    end"
        yield "  endtask"
        yield ""
