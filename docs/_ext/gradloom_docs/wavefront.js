(() => {
  const root = document.currentScript.closest(".wavefront");
  const frames = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const slider = root.querySelector("input");
  const play = root.querySelector("[data-play]");
  const words = root.querySelector(".wavefront-words");
  const find = (id) => root.querySelector("#wf-" + id);
  let timer = null;

  const strip = (id, text, tile, busy) => {
    find(id).textContent = text;
    const box = find(id.replace(/^(in|sum|shadow|o)/, "$1b"));
    const owner = tile === null ? "" : " t" + tile;
    box.setAttribute("class", "strip" + owner + (busy ? " busy" : ""));
  };

  const count = (nodes, what, test) => {
    const n = nodes.filter(test).length;
    return n ? what + ": " + n : null;
  };

  const show = (clock) => {
    const frame = frames[clock];
    slider.value = clock;
    root.querySelector("output").textContent = "clock " + clock;
    frame.nodes.forEach((row, r) => {
      find("a" + r).textContent = frame.column.length ? frame.column[r] : "";
      find("b" + r).textContent = frame.row.length ? frame.row[r] : "";
      strip("o" + r, frame.out.length ? frame.out[r] : "", frame.out_tile, false);
      row.forEach((node, c) => {
        const at = "" + r + c;
        const operands = node.operands === null ? "" : node.a + " × " + node.b;
        strip("in" + at, operands, node.operands, false);
        strip("sum" + at, node.sum_tile === null ? "" : node.sum, node.sum_tile, node.adds);
        const moves = { load: "load ", hold: "hold ", shift: "↓ " }[node.moves] || "";
        const text = node.shadow_tile === null ? "" : node.shadow;
        strip("shadow" + at, moves + text, node.shadow_tile,
          node.moves === "load" || node.moves === "shift");
      });
    });
    const nodes = frame.nodes.flat();
    const counts = [
      count(nodes, "receive operands", (n) => n.operands !== null),
      count(nodes, "add a product", (n) => n.adds),
      count(nodes, "load their shadow", (n) => n.moves === "load"),
      count(nodes, "hold it", (n) => n.moves === "hold"),
      count(nodes, "shift it down", (n) => n.moves === "shift"),
    ].filter((part) => part);
    const sentences = [
      frame.column.length ? "An operand is accepted." : "",
      frame.last ? "It is the tile’s last." : "",
      counts.length ? "Nodes that " + counts.join(", ") + "." : "",
      frame.out.length ? "A row leaves." : "",
    ].filter((sentence) => sentence);
    words.textContent = sentences.join(" ") || "Nothing moves.";
  };

  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "play";
  };

  const step = (by) => {
    const clock = Number(slider.value) + by;
    show((clock + frames.length) % frames.length);
  };

  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  root.querySelectorAll("[data-step]").forEach((button) => {
    button.addEventListener("click", () => { stop(); step(Number(button.dataset.step)); });
  });
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    play.textContent = "pause";
    timer = setInterval(() => step(1), 700);
  });
  show(Number(root.dataset.clock));
})();
