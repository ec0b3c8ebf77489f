"""The open tools: Yosys and nextpnr, how they are called, and what their answers say."""
