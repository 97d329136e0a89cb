"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const told = read("told"), media = read("media"), charts = read("charts");
const clips = told.clips;

// Elements are built from text alone: no name of a clip, a speaker or a run is ever read as markup.
function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
  return element;
}
const three = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
// With as many digits as keep what is not all, or not nothing, from being said to be so.
function percent(value) {
  const texts = [0, 1, 2, 3].map((digits) => (100 * value).toFixed(digits));
  return `${value > 0 && value < 1 ? texts.find((text) => Number(text) > 0 && Number(text) < 100) || texts[3] : texts[0]} %`;
}
const many = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;

// Charts: a specification, which knows nothing of the values, and the values.
const DRESS = {
  background: null,
  font: "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif",
  view: { stroke: null },
  axis: { labelColor: "var(--soft)", titleColor: "var(--soft)", titleFontWeight: "normal", titleFontSize: 12, labelFontSize: 11.5,
    gridColor: "var(--hair)", domainColor: "var(--rule)", tickColor: "var(--rule)", labelFlush: false },
  axisY: { titleAngle: 0, titleAlign: "left", titleX: 0, titleY: -8, titleAnchor: "start", titleBaseline: "bottom" },
  text: { color: "var(--ink)" },
};
function draw(place, name, data) {
  const main = data.points;
  place.dataset.drawn = "waiting";
  const spec = { ...charts[name], config: DRESS, datasets: data };
  if (!main.length) return Promise.resolve();
  if (spec.height.step) spec.height = Math.max(1, new Set(main.map((point) => point.run || `${point.label} ${point.part}`)).size) * spec.height.step;
  return window.vegaEmbed(place, spec, { renderer: "svg", actions: false, ast: true, logLevel: 1, tooltip: { theme: "custom", disableDefaultStyle: true } })
    .then((made) => { place.dataset.drawn = "yes"; return made; });
}

// Players: one sound at a time, the picture shows where it is.
let playing = null;
function stop() {
  if (!playing) return;
  playing.audio.pause();
  playing.button.classList.remove("plays");
  playing = null;
}
function play(button, number) {
  if (playing && playing.button === button) return stop();
  stop();
  if (!button.audio) {
    const bytes = Uint8Array.from(atob(media[number].wav), (letter) => letter.charCodeAt(0));
    button.audio = new Audio(URL.createObjectURL(new Blob([bytes], { type: "audio/wav" })));
    button.audio.addEventListener("ended", stop);
  }
  const now = { button, audio: button.audio };
  now.audio.currentTime = 0;
  now.audio.play().catch(stop);
  button.classList.add("plays");
  playing = now;
  const head = button.querySelector("b");
  const follow = () => {
    if (playing !== now) return;
    head.style.left = `${(100 * now.audio.currentTime) / (now.audio.duration || 1)}%`;
    requestAnimationFrame(follow);
  };
  follow();
}

function player(number) {
  const clip = clips[number], carried = media[number];
  if (!carried) return make("div", { class: "silent" }, told.audio ? "not carried by this page" : "no sound in this page");
  const button = make("button", { type: "button", class: "play", "aria-label": `Play ${clip.name}, ${clip.said}` },
    make("img", { alt: "", src: `data:image/png;base64,${carried.png}`, width: 124, height: 64 }), make("i"), make("b"));
  button.addEventListener("click", () => play(button, number));
  return button;
}

function voices(number) {
  const by = Object.entries(clips[number].by);
  if (!by.length) return null;
  // Of tags the likeliest; of one label what was decided, and the truth where that is another.
  const pairs = (said) => Array.isArray(said[0]) ? said : [said.slice(0, 2), ...(said[2] === said[0] ? [] : [said.slice(2)])];
  const saying = ([label, value]) => make("span", {}, `${label} ${three(value)}`);
  return make("details", {}, make("summary", {}, by.length === 1 ? "What the run says" : `What all ${by.length} say`),
    make("dl", {}, by.flatMap(([run, said]) => [make("dt", {}, run), make("dd", {}, pairs(said).map(saying))])));
}

const spoken = (clip) => clip.name + (clip.speaker && !clip.name.includes(clip.speaker) ? ` · ${clip.speaker}` : "");
function card(number, caption, below = spoken(clips[number])) {
  return make("figure", { class: "clip" }, player(number),
    make("figcaption", {}, caption, make("span", { class: "name", title: below }, below), voices(number)));
}

const said = (text) => make("strong", {}, text), taken = (text) => make("em", {}, text);
// What stands for many words is told by its own.
const word = (each, label = each.true) => [said(label === "unknown" ? clips[each.clip].said : label), label === "unknown" ? " (unknown)" : ""];
const captions = {
  worst: (each) => !each.true ? ["heard ", taken(each.decided), `, ${three(each.probability)}; it is not there`]
    : !each.decided ? ["missed ", said(each.true), `, ${three(each.probability)}`]
      : [...word(each), " taken for ", taken(each.decided), `, ${three(each.probability)}`],
  suspects: (each) => ["called ", said(each.given), ", sounds like ", taken(each.heard)],
  torn: (each) => [...word(each), ": ", each.between.map(([label, value]) => `${label} ${three(value)}`).join(" or ")],
  examples: (each) => [make("b", {}, each.label)],
  augmented: (each) => [make("b", {}, each.name)],
};
for (const place of document.querySelectorAll("[data-clips]")) {
  const kind = place.dataset.clips, list = (told.errors && told.errors[kind]) || (told.data && told.data[kind]) || [];
  place.append(...list.map((each) => card(each.clip, captions[kind](each), each.arguments)));
}
const entries = {
  passing: (each) => [
    make("p", {}, make("span", { class: "big" }, each.word)),
    make("p", { class: "quiet" }, `${each.passed} of ${many(each.clips, "clip")} (${percent(each.passed / each.clips)}) pass for a command: `,
      each.as.map(([label, count]) => `${label} ${count}×`).join(", "))],
  speakers: (each) => [
    make("p", {}, make("span", { class: "big" }, each.speaker)),
    make("p", { class: "quiet" }, `${each.right} of ${many(each.clips, "clip")} right (${percent(each.right / each.clips)}; 95 % interval ${percent(each.low)} to ${percent(each.high)})`)],
};
for (const place of document.querySelectorAll("[data-lists]")) {
  const kind = place.dataset.lists;
  for (const each of told.errors[kind]) {
    const heard = each.heard.map((number) => {
      const by = clips[number].by[told.errors.run];
      return card(number, by && !Array.isArray(by[0]) ? [...word({ clip: number }, by[2]), " taken for ", taken(by[0])] : [clips[number].said]);
    });
    place.append(make("div", { class: "entry" }, make("div", {}, entries[kind](each)), make("div", { class: "clips" }, heard)));
  }
}

// The charts of the page itself.
const first = {
  // On a phone the lines have their names in the key alone.
  standing: (place) => ({ ...told.standing, lines: place.clientWidth < 560 ? told.standing.lines.map((line) => ({ ...line, side: "" })) : told.standing.lines }),
  drift: (place) => ({ points: told.data.drift[Number(place.dataset.at)].points }),
  rebalanced: () => ({ points: told.data.rebalanced }),
  cost: () => ({ points: told.provenance.points }),
};
window.drawn = Promise.all([...document.querySelectorAll("[data-chart]")].map((place) => draw(place, place.dataset.chart, first[place.dataset.chart](place))));
