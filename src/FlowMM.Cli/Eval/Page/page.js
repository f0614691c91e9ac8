"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const merging = data.report.merging;
const tables = Object.entries(merging).flatMap(([protocol, sets]) => Object.entries(sets).map(([set, table]) => ({ protocol, set, ...table })));
const main = document.getElementById("main");

// ---- elements; text never becomes markup ----
function put(parent, name, attributes = {}, text) {
  const svg = ["svg", "path", "line", "text", "circle", "rect", "g", "title"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}
const percent = budget => Number(budget) <= 1 ? `${+(100 * budget).toFixed(2)} %` : `${budget} entries`;
const size = bytes => bytes >= 1048576 ? `${(bytes / 1048576).toFixed(1)} MiB` : `${(bytes / 1024).toFixed(0)} KiB`;
const title = table => `${table.set}, ${table.protocol}`;

// ---- methods: flowmm and its variants are blue, every baseline has a colour of its own ----
const names = Object.keys(tables[0].methods);
const baselines = names.filter(n => !n.startsWith("flowmm") && n !== "full");
function style(method) {
  if (method === "full") return { colour: "var(--soft)", width: 1.5, dash: "1 3" };
  if (method === "flowmm") return { colour: "var(--c0)", width: 3, dash: "" };
  if (method === "flowmm-paper") return { colour: "var(--c1)", width: 2.5, dash: "" };
  if (method.startsWith("flowmm")) {
    const index = names.filter(n => n.startsWith("flowmm ")).indexOf(method);
    return { colour: "var(--c0)", width: 1.5, dash: ["6 3", "2 3", "8 3 2 3", "3 1", "10 4", "1 2"][index % 6] };
  }
  const index = Math.max(0, baselines.indexOf(method));
  return { colour: `var(--c${2 + index % 6})`, width: 1.6, dash: index < 6 ? "" : "4 3" };
}

// ---- a plot: axes, and what draws into it ----
function plot(parent, { width = 560, height = 280, inset = 24, xs, ticks, top, label, xLabel }) {
  const left = 46, right = width - 12, upper = 14, lower = height - 40;
  const svg = put(parent, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const y = value => lower - (value / top) * (lower - upper);
  const step = [0.05, 0.1, 0.2, 0.25, 0.5, 1, 2].find(s => top / s <= 6) ?? top / 5;
  for (let v = 0; v <= top + 1e-9; v += step) {
    put(svg, "line", { x1: left, x2: right, y1: y(v), y2: y(v), class: v === 0 ? "axis" : "rule" });
    put(svg, "text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, +v.toFixed(2));
  }
  const x = i => xs.length === 1 ? (left + right) / 2 : left + inset + xs[i] * (right - left - 2 * inset);
  ticks.forEach((tick, i) => put(svg, "text", { x: x(i), y: lower + 18, "text-anchor": "middle" }, tick));
  put(svg, "text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, xLabel);
  return { svg, x, y, left, right };
}
function trace(p, values, { colour, width, dash }) {
  const group = put(p.svg, "g");
  put(group, "path", { d: values.map((v, i) => `${i ? "L" : "M"}${p.x(i).toFixed(1)} ${p.y(v).toFixed(1)}`).join(""), fill: "none", stroke: colour, "stroke-width": width, "stroke-dasharray": dash, "stroke-linejoin": "round" });
  return group;
}
function key(parent, method, look) {
  const svg = put(parent, "svg", { viewBox: "0 0 26 12" });
  put(svg, "line", { x1: 0, x2: 26, y1: 6, y2: 6, stroke: look.colour, "stroke-width": look.width, "stroke-dasharray": look.dash });
  parent.append(method);
}
const even = n => [...Array(n).keys()].map(i => n === 1 ? 0 : i / (n - 1));
function spread(budgets) {
  const values = budgets.map(Number), low = Math.log(Math.min(...values)), high = Math.log(Math.max(...values));
  return high === low || values.some(v => v > 1) ? even(budgets.length) : values.map(v => (Math.log(v) - low) / (high - low));
}

// ---- one table: the grid, accuracy against budget, flow by layer ----
function grid(card, table) {
  const methods = Object.entries(table.methods), budgets = Object.keys(methods[0][1]).sort((a, b) => a - b);
  const element = put(put(card, "div", { class: "scroll" }), "table");
  const head = put(put(element, "thead"), "tr");
  put(head, "th", {}, "method");
  budgets.forEach(b => put(head, "th", { scope: "col" }, percent(b)));
  const body = put(element, "tbody");
  const full = put(body, "tr");
  put(full, "th", { scope: "row" }, "full cache");
  const cell = put(full, "td", { colspan: budgets.length, class: "full" }, table.full.toFixed(3));
  put(cell, "small", {}, `${size(table.full_bytes)}, ${table.full_ms_per_token.toFixed(2)} ms/token`);
  for (const [method, cells] of methods) {
    const row = put(body, "tr");
    put(row, "th", { scope: "row" }, method);
    for (const budget of budgets) {
      const c = cells[budget], best = Math.max(...methods.filter(m => m[0] !== "full").map(m => m[1][budget].accuracy));
      const td = put(row, "td", c.accuracy === best ? { class: "best" } : {}, `${c.accuracy.toFixed(3)} ± ${c.interval.toFixed(3)}`);
      put(td, "small", {}, `${size(c.bytes)}, ${c.ms_per_token.toFixed(2)} ms/token`);
    }
  }
}
function accuracy(card, table) {
  put(card, "h3", {}, "Accuracy against budget");
  const methods = Object.entries(table.methods), budgets = Object.keys(methods[0][1]).sort((a, b) => a - b);
  const most = Math.max(table.full, ...methods.flatMap(m => budgets.map(b => m[1][b].accuracy + m[1][b].interval)));
  const p = plot(card, { width: 1040, height: 340, xs: spread(budgets), ticks: budgets.map(percent), top: Math.min(1, Math.ceil(most * 10) / 10) || 0.1, label: `accuracy against budget, ${title(table)}`, xLabel: "budget" });
  put(p.svg, "line", { x1: p.left, x2: p.right, y1: p.y(table.full), y2: p.y(table.full), stroke: "var(--ink)", "stroke-dasharray": "2 4" });
  put(p.svg, "text", { x: p.left + 4, y: p.y(table.full) - 5 }, `full cache ${table.full.toFixed(3)}`);
  const legend = put(card, "div", { class: "legend" });
  for (const [method, cells] of methods) {
    const look = style(method), values = budgets.map(b => cells[b].accuracy);
    const group = trace(p, values, look);
    budgets.forEach((b, i) => {
      const c = cells[b];
      put(group, "line", { x1: p.x(i), x2: p.x(i), y1: p.y(Math.max(0, c.accuracy - c.interval)), y2: p.y(Math.min(1, c.accuracy + c.interval)), stroke: look.colour, "stroke-opacity": .35, "stroke-width": 1 });
      const dot = put(group, "circle", { cx: p.x(i), cy: p.y(c.accuracy), r: 3.2, fill: look.colour });
      put(dot, "title", {}, `${method}, ${percent(b)}: ${c.accuracy.toFixed(3)} ± ${c.interval.toFixed(3)}`);
    });
    const button = put(legend, "button", { type: "button", "aria-pressed": "true", title: "show or hide" });
    key(button, method, look);
    button.onclick = () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", shown);
      group.style.display = shown ? "" : "none";
    };
  }
}
function flow(pair, table) {
  const cells = Object.entries(table.methods).flatMap(([method, budgets]) => Object.values(budgets).map(c => ({ method, ...c }))).filter(c => c.layers.length);
  if (!cells.length) return;
  const { method, layers } = cells.find(c => c.method === "flowmm") ?? cells[0];
  const ticks = layers.map((_, i) => layers.length > 16 && i % 4 ? "" : i);
  const frame = top => ({ xs: even(layers.length), ticks, top, xLabel: "layer" });
  const one = put(pair, "div", { class: "card" });
  put(one, "h3", {}, "Cross-modal flow by layer");
  const rho = [["rho, raw", "rho_raw", "var(--c0)", ""], ["rho, sink-free", "rho", "var(--c1)", ""], ["chance", "chance", "var(--soft)", "4 3"]];
  const p = plot(one, { ...frame(Math.max(0.2, Math.ceil(10 * Math.max(...layers.flatMap(l => [l.rho_raw, l.rho, l.chance]))) / 10)), label: "rho by layer" });
  const legend = put(one, "div", { class: "legend" });
  for (const [name, field, colour, dash] of rho) {
    const group = trace(p, layers.map(l => l[field]), { colour, width: 2, dash });
    layers.forEach((l, i) => put(put(group, "circle", { cx: p.x(i), cy: p.y(l[field]), r: 3, fill: colour }), "title", {}, `layer ${i}: ${name} ${l[field].toFixed(3)}`));
    key(put(legend, "span"), name, { colour, width: 2, dash });
  }
  const two = put(pair, "div", { class: "card" });
  put(two, "h3", {}, "Lift (lambda) by layer, and the layer's strategy");
  const q = plot(two, { ...frame(Math.max(1.5, Math.ceil(2 * Math.max(...layers.map(l => l.lambda))) / 2)), label: "lambda by layer" });
  put(q.svg, "line", { x1: q.left, x2: q.right, y1: q.y(1), y2: q.y(1), stroke: "var(--ink)", "stroke-dasharray": "2 4" });
  const lift = trace(q, layers.map(l => l.lambda), { colour: "var(--c2)", width: 2, dash: "" });
  layers.forEach((l, i) => put(put(lift, "circle", { cx: q.x(i), cy: q.y(l.lambda), r: 3, fill: "var(--c2)" }), "title", {}, `layer ${i}: lambda ${l.lambda.toFixed(3)}`));
  const chips = put(two, "div", { class: "chips" });
  chips.append(`${method}:`);
  layers.forEach((l, i) => put(chips, "span", { class: l.inter > 0.5 ? "inter" : "intra" }, `${i} ${l.inter > 0.5 ? "inter" : "intra"}-modal ${l.inter > 0 && l.inter < 1 ? `(${(100 * Math.max(l.inter, 1 - l.inter)).toFixed(0)} %)` : ""}`));
}

// ---- choices ----
function choose(card, choices, draw) {
  const row = put(card, "div", { class: "choose" }), picked = {};
  const stage = put(card, "div");
  const redraw = () => { stage.replaceChildren(); draw(stage, picked); };
  for (const [name, [options, first]] of Object.entries(choices)) {
    const select = put(put(row, "label", {}, `${name} `), "select");
    options.forEach(o => put(select, "option", { value: o.value }, o.text));
    select.value = picked[name] = first ?? options[0].value;
    select.onchange = () => { picked[name] = select.value; redraw(); };
  }
  redraw();
}
const plain = (values, text = v => v) => values.map(v => ({ value: String(v), text: String(text(v)) }));
const budgets = Object.keys(tables[0].methods[names[0]]).sort((a, b) => a - b);
const merged = names.filter(n => n !== "full");
const favourite = merged.includes("flowmm") ? "flowmm" : merged[0];
const middle = budgets.includes("0.2") ? "0.2" : budgets[Math.floor(budgets.length / 2)];

function entries(card) {
  choose(card, { table: [tables.map((t, i) => ({ value: String(i), text: title(t) }))], method: [plain(merged), favourite], budget: [plain(budgets, percent), middle] }, (stage, picked) => {
    const layers = tables[picked.table].methods[picked.method][picked.budget].layers;
    if (!layers.length) { put(stage, "p", {}, "Nothing was merged here."); return; }
    const wide = Math.min(70, 700 / layers.length);
    const p = plot(stage, { width: 1040, height: 300, inset: wide / 2 + 8, xs: even(layers.length), ticks: layers.map((_, i) => layers.length > 16 && i % 4 ? "" : i), top: 1, label: "entries by layer", xLabel: "layer" });
    layers.forEach((l, i) => {
      let from = 0;
      for (const [name, share] of [["kept", l.kept / l.entries], ["merged", l.merged], ["dropped", l.dropped]]) {
        const bar = put(p.svg, "rect", { x: p.x(i) - wide / 2, width: wide, y: p.y(from + share), height: Math.max(0, p.y(from) - p.y(from + share)), fill: `var(--${name})` });
        put(bar, "title", {}, `layer ${i}: ${name} ${(100 * share).toFixed(1)} % of ${l.entries.toFixed(0)} entries`);
        from += share;
      }
      if (l.dropped_mass > 0 && layers.length <= 16) put(p.svg, "text", { x: p.x(i), y: p.y(1) - 4, "text-anchor": "middle" }, `mass ${l.dropped_mass.toFixed(2)}`);
    });
    const legend = put(stage, "div", { class: "legend" });
    for (const name of ["kept", "merged", "dropped"]) {
      const span = put(legend, "span");
      put(span, "i", { style: `background: var(--${name})` });
      span.append(name);
    }
    put(legend, "span", {}, layers.some(l => l.dropped_mass > 0) ? "above a bar: attention mass of what was dropped" : "no attention mass was dropped");
  });
}

// ---- what was kept, drawn over the pictures ----
function kept(card, sample) {
  const layers = sample.layers === 1 ? [] : plain([...Array(sample.layers).keys()], l => `layer ${l}`);
  choose(card, { method: [plain(merged), favourite], budget: [plain(budgets, percent), middle], layer: [[{ value: "mean", text: "all layers" }, ...layers]] }, (stage, picked) => {
    const cell = sample.cells[picked.method][picked.budget];
    const chosen = picked.layer === "mean" ? [...Array(sample.layers).keys()] : [Number(picked.layer)];
    const share = t => chosen.reduce((s, l) => s + cell.kept[l][t], 0) / (chosen.length * sample.places);
    const count = t => chosen.reduce((s, l) => s + cell.count[l][t], 0) / (chosen.length * sample.places);
    const tell = t => `kept in ${(100 * share(t)).toFixed(0)} % of the places, stands for ${count(t).toFixed(1)} tokens on the mean`;
    const figures = put(stage, "div", { class: "pictures" });
    sample.pictures.forEach((picture, number) => {
      const figure = put(figures, "figure"), frame = put(figure, "div", { class: "picture" });
      put(frame, "img", { src: picture.source, alt: `picture ${number + 1}` });
      const side = Math.ceil(Math.sqrt(picture.tokens)), patches = put(frame, "div", { class: "patches", style: `grid-template-columns: repeat(${side}, 1fr); grid-template-rows: repeat(${Math.ceil(picture.tokens / side)}, 1fr)` });
      let sum = 0;
      for (let t = picture.start; t < picture.start + picture.tokens; t++) {
        sum += share(t);
        const shown = side <= 8 && count(t) > 0 ? count(t).toFixed(1) : "";
        put(patches, "div", { style: `background: rgba(31, 95, 208, ${(0.85 * share(t)).toFixed(2)})`, title: tell(t) }, shown);
      }
      put(figure, "figcaption", {}, `picture ${number + 1}: ${(100 * sum / picture.tokens).toFixed(0)} % of its entries kept`);
    });
    const words = put(stage, "div", { class: "words" });
    sample.words.forEach(([t, text]) => put(words, "span", { style: `background: color-mix(in srgb, var(--kept) ${(70 * share(t)).toFixed(0)}%, transparent)`, title: tell(t) }, text));
  });
}

// ---- the page ----
document.getElementById("made").textContent = `${data.report.made_with}. Intervals are 95 % (Wald). Milliseconds are those of the machine that ran it, under whatever else it did.`;
const contents = document.getElementById("contents");
function section(id, heading, note) {
  const element = put(main, "section", { id });
  put(element, "h2", {}, heading);
  if (note) put(element, "p", {}, note);
  put(contents, "a", { href: `#${id}` }, heading);
  return element;
}
tables.forEach((table, i) => {
  const part = section(`table-${i}`, title(table), `${table.questions} questions. Each cell: ${table.metric} with its interval, bytes that the allocator reserves once merged, decoding time a token.`);
  grid(put(part, "div", { class: "card" }), table);
  accuracy(put(part, "div", { class: "card" }), table);
  flow(put(part, "div", { class: "pair" }), table);
});
if (merged.length) entries(put(section("entries", "Entries by layer", "What became of a segment's entries: share kept, merged into kept ones, dropped. Means over segments and heads."), "div", { class: "card" }));
if (data.sample && merged.length) {
  kept(put(section("kept", "What was kept", `The context of conversation ${data.sample.id}, merged before any question is known. The bluer a patch or a word, the more layers and heads keep it; the number is how many tokens it stands for, on the mean over them.`), "div", { class: "card" }), data.sample);
}
