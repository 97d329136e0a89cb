"use strict";
// The table of runs: sorting, finding, and what opens below a row.
const RIGHT = { light: ["#ffffff", "#d6e6f2", "#7fb2d6", "#2f77ad", "#0f3d66"], dark: ["#181e26", "#1d3850", "#28618d", "#5da3d6", "#b7d9f1"] };
const WRONG = { light: ["#ffffff", "#fde3cf", "#f7b27f", "#e0702f", "#a83e0c"], dark: ["#181e26", "#41291a", "#8a4a20", "#e08445", "#f9c9a0"] };
const FULL = 0.4; // share of a row at which the colour of a mistake is full, as in confusion.png

let onPaper = false;
addEventListener("beforeprint", () => { onPaper = true; });
addEventListener("afterprint", () => { onPaper = false; });

function mixed(stops, depth) {
  const at = Math.min(depth, 1) * (stops.length - 1), from = Math.min(Math.floor(at), stops.length - 2);
  const part = (colour, place) => parseInt(colour.slice(1 + 2 * place, 3 + 2 * place), 16);
  return [0, 1, 2].map((place) => Math.round(part(stops[from], place) + (at - from) * (part(stops[from + 1], place) - part(stops[from], place))));
}
function light([red, green, blue]) {
  const linear = [red, green, blue].map((value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
const contrast = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
// Between pale and full lies a depth at which neither dark nor white figures can be read; it is stepped over.
function paint(button, stops, depth) {
  const dark = light([27, 39, 51]), white = 1;
  for (let deeper = depth; ; deeper += 0.02) {
    const colour = mixed(stops, deeper), own = light(colour);
    const best = contrast(own, dark) >= contrast(own, white) ? ["#1b2733", contrast(own, dark)] : ["#ffffff", contrast(own, white)];
    if (best[1] >= 4.6 || deeper > 1) {
      button.style.background = `rgb(${colour.join(" ")})`;
      button.style.color = best[0];
      return;
    }
  }
}

function matrix(run) {
  const { labels, counts } = run, sums = counts.map((row) => row.reduce((a, b) => a + b, 0));
  const list = make("div", { "aria-live": "polite" });
  const buttons = new Map();
  const body = counts.map((row, truth) => make("tr", {}, make("th", { scope: "row" }, labels[truth]),
    row.map((count, decided) => {
      if (!count) return make("td");
      const button = make("button", { type: "button", tabindex: buttons.size ? -1 : 0, class: truth === decided ? "right" : "wrong", "aria-pressed": "false",
        "aria-label": `${labels[truth]} decided to be ${labels[decided]}: ${many(count, "clip")}`, "data-cell": `${truth},${decided}`,
        onclick: () => show(truth, decided) });
      buttons.set(`${truth},${decided}`, button);
      return make("td", {}, button);
    }),
    make("td", { class: "recall" }, sums[truth] ? percent(row[truth] / sums[truth]) : "–")));
  const table = make("table", { class: "matrix" }, make("caption", { class: "unseen" }, `Confusion matrix of ${run.run}: rows are the truth, columns what was decided`),
    make("thead", {}, make("tr", {}, make("td"), labels.map((label) => make("th", { scope: "col" }, make("span", {}, label))), make("th", { scope: "col", class: "recall" }, make("span", {}, "recall")))),
    make("tbody", {}, body));
  let asShares = false;
  const fill = () => {
    // Paper is white, also while a dark page is printed: only after "beforeprint" would the media say so.
    const shade = matchMedia("(prefers-color-scheme: dark)").matches && !onPaper ? "dark" : "light";
    for (const [key, button] of buttons) {
      const [truth, decided] = key.split(",").map(Number), share = counts[truth][decided] / sums[truth];
      button.textContent = asShares ? Math.round(100 * share) : counts[truth][decided].toLocaleString("en");
      if (truth === decided) paint(button, RIGHT[shade], share);
      else paint(button, WRONG[shade], share / FULL);
    }
  };
  fill();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", fill);
  addEventListener("beforeprint", fill);
  addEventListener("afterprint", fill);
  const units = [["clips", false], ["% of the row", true]].map(([text, value]) => make("button", { type: "button", "aria-pressed": String(!value), onclick: (event) => {
    asShares = value;
    for (const each of event.target.parentNode.children) each.setAttribute("aria-pressed", String(each === event.target));
    fill();
  } }, text));
  // Left and right go through all cells with clips, row by row; up and down to the nearest one in the next row.
  const places = [...buttons.keys()].map((key) => key.split(",").map(Number));
  function neighbour(truth, decided, key) {
    if (key === "ArrowLeft" || key === "ArrowRight") {
      return places[places.findIndex(([row, column]) => row === truth && column === decided) + (key === "ArrowRight" ? 1 : -1)];
    }
    const beyond = places.filter(([row]) => key === "ArrowDown" ? row > truth : key === "ArrowUp" && row < truth);
    const rows = beyond.map(([row]) => row), next = key === "ArrowDown" ? Math.min(...rows) : Math.max(...rows);
    return beyond.filter(([row]) => row === next).sort((one, other) => Math.abs(one[1] - decided) - Math.abs(other[1] - decided))[0];
  }
  table.addEventListener("keydown", (event) => {
    const here = event.target.dataset && event.target.dataset.cell;
    if (!event.key.startsWith("Arrow") || !here) return;
    event.preventDefault();
    const to = neighbour(...here.split(",").map(Number), event.key);
    if (!to) return;
    const next = buttons.get(to.join(","));
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  function show(truth, decided) {
    for (const [key, button] of buttons) button.setAttribute("aria-pressed", String(key === `${truth},${decided}`));
    const inside = (run.cells || {})[`${truth},${decided}`] || [], all = counts[truth][decided];
    const heard = inside.filter(([number]) => media[number]), others = inside.filter(([number]) => !media[number]);
    list.replaceChildren(make("div", { class: "heard" },
      make("p", {}, said(labels[truth]), truth === decided ? " recognised: " : " taken for ", truth === decided ? "" : taken(labels[decided]), truth === decided ? "" : ": ",
        many(all, "clip"), inside.length && all > inside.length ? `, of which ${inside.length} ${truth === decided ? "least sure" : "surest"}` : ""),
      make("div", { class: "clips small" }, heard.map(([number, value]) => card(number, [`p ${three(value)}`]))),
      others.length ? make("ul", {}, others.map(([number, value]) => make("li", {}, spoken(clips[number]), ` · p ${three(value)}`))) : null,
      others.length && told.audio ? make("p", { class: "quiet" }, "Those without a picture are not carried; report.clips says how many are.") : null,
      run.silent ? make("p", { class: "quiet" }, "The page carries no test clips.") : null));
  }
  return { part: make("div", {}, make("div", { class: "choice", role: "group", "aria-label": "Unit of the matrix" }, units),
    make("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": `Confusion matrix of ${run.run}` }, table), list), show };
}

// Parts in one place, of which one is seen, and the buttons that choose it.
function beside(...named) {
  const buttons = named.map(([name, part], number) => {
    part.hidden = number > 0;
    return make("button", { type: "button", "aria-pressed": String(!number), onclick: (event) => {
      for (const [other, [, each]] of named.entries()) each.hidden = other !== number;
      for (const each of event.target.parentNode.children) each.setAttribute("aria-pressed", String(each === event.target));
    } }, name);
  });
  return [make("div", { class: "choice", role: "group", "aria-label": "Clips of the matrix" }, buttons), ...named.map(([, part]) => part)];
}

function panel(size, title, legend, ...parts) {
  return make("div", { class: size }, make("h4", {}, title), legend ? make("p", { class: "legend" }, ...[legend].flat()) : null, parts);
}
// Where a threshold ruins all, nothing is to be chosen: what is near the best would be a flat line beside it.
const telling = (points) => points.filter((point) => point.accuracy > Math.max(...points.map((each) => each.accuracy)) - 0.1);
const key = (name, text) => make("span", { class: `key ${name}` }, text);

function opened(run, row) {
  const heads = row.closest("table").tHead.rows[0].children;
  // What a small screen has no column for.
  const left = [...row.children].map((cell, place) => [["minor", "rare"].find((kind) => cell.classList.contains(kind)), heads[place].textContent, cell.textContent]);
  const figures = left.filter(([kind, , text]) => kind && text !== "–").map(([kind, name, text]) => make("div", { class: `if-${kind}` }, make("dt", {}, name), make("dd", {}, text)));
  const panels = [make("dl", { class: "all figures" }, figures)], later = [], chart = (name, data) => {
    const place = make("div", { class: "chart", "data-chart-in": name });
    later.push(() => draw(place, name, data));
    return place;
  };
  let cells = null;
  if (run.edited) panels.push(make("p", { class: "quiet all" }, "params.yaml, or the code, asks for another training since; dvc repro has not seen it yet. The figures are of the one before."));
  if (run.note) panels.push(make("p", { class: "quiet all" }, `Its estimate is ${run.note}.`));
  const curves = run.curves || {};
  const both = ["a line a fold: ", key("training", "training"), " ", key("validation", "validation")];
  if (curves.loss) panels.push(panel("third", "Loss", both, chart("loss", { points: curves.loss })));
  if (curves.score) panels.push(panel("third", run.judge === "map" ? "Mean average precision" : "Balanced accuracy", "on the clips that judge each fold", chart("score", { points: curves.score })));
  if (curves.rate) panels.push(panel("third", "Learning rate", "by epoch", chart("rate", { points: curves.rate })));
  if (run.counts) {
    cells = matrix(run);
    panels.push(panel(run.labels.length < 6 ? "third" : "most", "Confusion", "Rows are the truth, columns what was decided. Choose a cell to hear the clips in it.",
      ...(run.test_counts ? beside(["out of fold", cells.part], ["test clips", matrix({ ...run, counts: run.test_counts, cells: {}, silent: true }).part]) : [cells.part])));
  } else if (run.confusions) {
    panels.push(panel("half", "Largest confusions", `Of ${run.labels.length} labels; the whole matrix is in submissions/${run.run}/confusion.csv.`,
      make("table", {}, make("tbody", {}, run.confusions.map((each) => make("tr", {}, make("th", { scope: "row" }, run.labels[each.truth]), make("td", {}, "taken for ", taken(run.labels[each.decided])), make("td", { class: "n" }, `${each.clips} of ${each.of}`)))))));
  }
  const most = 45, byLabel = run.precisions || run.recalls;
  if (byLabel) {
    const known = byLabel.filter((each) => each.value !== null);
    const shown = known.length > most ? known.slice().sort((a, b) => a.value - b.value).slice(0, most) : known;
    const votes = run.weights ? [make("h4", {}, "Who votes"), chart("bars", { points: Object.entries(run.weights).map(([label, value]) => ({ label, value, tip: `${label}: weight ${three(value)}` })) })] : [];
    panels.push(panel(run.counts ? "third" : "half", run.precisions ? "Average precision by label" : "Recall by label", known.length > most ? `the ${most} lowest of ${known.length}` : null, chart("bars", { points: shown.map((each) => ({ ...each, tip: `${each.label}: ${three(each.value)}, ${many(each.clips, "clip")}` })) }), ...votes));
  }
  if (run.reliability) panels.push(panel("third", "Calibration", `Expected calibration error ${three(run.calibration_error)}. On the dashed line, a probability means what it says.`, chart("reliability", { points: run.reliability })));
  for (const [name, line] of Object.entries(run.thresholds || {})) {
    const mark = run.rule !== "tuned" ? `The rule is ${run.rule}; ` : line.is_argmax ? "The likeliest label was kept; " : `Chosen: ${three(line.chosen)}; `;
    panels.push(panel("third", `Threshold of ${name}`, `${mark}of 95 % of the resampled speakers the best lies from ${three(line.best_low)} to ${three(line.best_high)} (orange, below).`,
      chart("thresholds", { points: telling(line.points), chosen: [{ at: line.chosen, best_low: line.best_low, best_high: line.best_high }] })));
  }
  if (run.parts) panels.push(panel("half", "Its parts", "plain accuracies", make("table", {}, make("tbody", {}, Object.entries(run.parts).map(([name, part]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "n" }, three(part.estimate))))))));
  if (run.folds && run.folds.length) panels.push(panel("third", "Time", null, make("table", {}, make("tbody", {}, run.folds.map((each) => make("tr", {}, make("th", { scope: "row" }, `fold ${each.fold}`), make("td", { class: "n" }, `${Math.round(each.seconds).toLocaleString("en")} s`), make("td", { class: "n" }, many(each.clips, "clip"))))))));
  if (run.parameters) {
    const differs = run.parameters.filter((each) => each[2]).length;
    panels.push(make("div", { class: "all" }, make("details", {}, make("summary", {}, `Parameters (${run.parameters.length}${differs ? `; ${differs}, marked, differ from the demo's` : ""})`),
      make("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": `Parameters of ${run.run}` }, make("table", { class: "params" }, make("tbody", {}, run.parameters.map(([name, value, other]) => make("tr", other ? { class: "differs" } : {}, make("td", {}, name), make("td", {}, value)))))))));
  }
  return { part: make("div", { class: "panels" }, panels), later, cells };
}

// A chart that was hidden while the window changed its width has none.
const refit = () => dispatchEvent(new Event("resize"));
const open = new Map();
function toggle(button, wanted) {
  const run = button.dataset.run, row = button.closest("tr");
  const isOpen = button.getAttribute("aria-expanded") === "true";
  if (wanted === isOpen) return open.get(run);
  button.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) { row.nextSibling.hidden = true; return null; }
  if (open.has(run)) {
    open.get(run).row.hidden = false;
    row.after(open.get(run).row);
    refit();
    return open.get(run);
  }
  const made = opened(told.runs[run], row);
  const inside = make("div", { class: "inside" }, made.part);
  made.row = make("tr", { class: "detail" }, make("td", { colspan: row.children.length }, inside));
  row.after(made.row);
  const fit = () => { inside.style.width = `${row.closest(".scroll").clientWidth - 12}px`; };
  fit();
  addEventListener("resize", fit);
  addEventListener("beforeprint", () => { inside.style.width = ""; });
  addEventListener("afterprint", fit);
  window.drawn = Promise.all(made.later.map((start) => start()));
  open.set(run, made);
  return made;
}
for (const button of document.querySelectorAll(".opens")) button.addEventListener("click", () => toggle(button));

function order(table, column, direction) {
  const sign = direction === "ascending" ? 1 : -1, body = table.tBodies[0];
  const value = (row) => row.children[column].dataset.sort;
  const rows = [...body.querySelectorAll("tr.run")].sort((a, b) => {
    const one = value(a), other = value(b);
    if (one === "" || other === "") return (one === "") - (other === "");
    const numbers = Number(one) - Number(other);
    return sign * (Number.isNaN(numbers) ? one.localeCompare(other) : numbers);
  });
  for (const row of rows) {
    const details = open.get(row.querySelector(".opens").dataset.run);
    body.append(row);
    if (details) body.append(details.row);
  }
}
for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), text = !head.classList.contains("n");
      const now = head.getAttribute("aria-sort"), next = now ? (now === "ascending" ? "descending" : "ascending") : text ? "ascending" : "descending";
      for (const each of table.tHead.querySelectorAll("th")) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", next);
      order(table, Number(button.dataset.column), next);
    });
  }
}
for (const input of document.querySelectorAll("[data-filters]")) {
  const table = document.getElementById(input.dataset.filters), status = input.closest(".tools").querySelector("[role=status]");
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase(), rows = [...table.querySelectorAll("tr.run")];
    let found = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      found += row.hidden ? 0 : 1;
      const details = open.get(row.querySelector(".opens").dataset.run);
      if (details) details.row.hidden = row.hidden || row.querySelector(".opens").getAttribute("aria-expanded") !== "true";
    }
    status.textContent = wanted ? `${found} of ${rows.length}` : "";
    refit();
  });
}

// The leading run is open from the start.
const leading = [...document.querySelectorAll(".opens")].find((each) => each.dataset.run === told.lead);
if (leading) {
  const before = window.drawn;
  toggle(leading, true);
  window.drawn = Promise.all([before, window.drawn]);
}

// A link to a cell opens the run, and the cell.
for (const link of document.querySelectorAll("[data-cell][data-run]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const button = [...document.querySelectorAll(".opens")].find((each) => each.dataset.run === link.dataset.run);
    if (button.closest("tr").hidden) {
      const input = document.querySelector(`[data-filters="${button.closest("table").id}"]`);
      input.value = "";
      input.dispatchEvent(new Event("input"));
    }
    const made = toggle(button, true);
    const [truth, decided] = link.dataset.cell.split(",").map(Number);
    const outOfFold = made && made.row.querySelector('[aria-label="Clips of the matrix"] button');
    if (outOfFold) outOfFold.click();
    if (made && made.cells) made.cells.show(truth, decided);
    const cell = made && made.row.querySelector(`button[data-cell="${link.dataset.cell}"]`);
    (cell || button).focus({ preventScroll: true });
    (cell ? cell.closest(".panels").querySelector(".heard") : button).scrollIntoView({ block: "center" });
  });
}
