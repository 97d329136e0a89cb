"use strict";
// While training goes on: what it has come to, every two seconds; the whole page anew when something is decided.
const spell = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`);
const shown = new Map();
let known = null; // the trainings that are drawn; at first not even that there are none
// A reader who has opened, sorted or searched something is asked before the page begins anew.
let touched = false;
for (const event of ["click", "input"]) document.querySelector("main").addEventListener(event, () => { touched = true; });
const renew = make("button", { type: "button", onclick: () => location.reload() }, "New figures: show them");
async function look() {
  let state;
  try {
    const answer = await fetch("live.json");
    if (!answer.ok) throw new Error(await answer.text());
    state = await answer.json();
  } catch (error) {
    document.getElementById("load").textContent = `No answer from this machine: ${error.message}`;
    return;
  }
  const old = state.version !== told.version;
  if (old && !playing && !touched) return location.reload();
  const gpus = state.load.gpus.map((value, place) => `, GPU ${place} ${percent(value)}`).join("");
  document.getElementById("load").textContent =
    `${state.done} of ${many(state.all, "fold")} trained · processors ${percent(state.load.cpu)} busy, memory ${percent(state.load.memory)} full${gpus}`;
  if (old) document.getElementById("load").append(renew);
  const place = document.getElementById("trainings");
  const names = state.trainings.map((each) => `${each.run}, fold ${each.fold}`);
  if (names.join("|") !== known) {
    known = names.join("|");
    shown.clear();
    place.replaceChildren(...(names.length ? [] : [make("p", { class: "quiet" }, "Nothing is being trained at this moment.")]));
    for (const name of names) {
      const parts = { line: make("p", { class: "quiet" }), bar: make("span"), loss: make("div", { class: "chart" }), score: make("div", { class: "chart" }), points: "", drawn: {} };
      shown.set(name, parts);
      place.append(make("div", { class: "training" }, make("h3", {}, name), parts.line, make("div", { class: "bar" }, parts.bar),
        make("p", { class: "quiet" }, "loss: ", key("training", "training"), " ", key("validation", "validation")), parts.loss, make("p", { class: "quiet" }, "score on the clips that judge it"), parts.score));
    }
  }
  for (const [at, each] of state.trainings.entries()) {
    const parts = shown.get(names[at]);
    const left = each.still !== null ? `has stood still for ${spell(each.still)}` : each.left === null ? "time left not known yet" : `about ${spell(each.left)} left`;
    parts.line.textContent = `${each.epochs ? `epoch ${each.epoch} of ${each.epochs}` : `epoch ${each.epoch}`}, ${spell(each.seconds)} so far, ${left}`;
    parts.bar.style.width = each.epochs ? `${(100 * each.epoch) / each.epochs}%` : "0";
    const points = JSON.stringify(each.charts);
    if (points === parts.points) continue;
    parts.points = points;
    for (const kind of ["loss", "score"]) {
      if (!each.charts[kind]) continue;
      if (parts.drawn[kind]) parts.drawn[kind].finalize(); // else each chart that was would listen on
      parts.drawn[kind] = await draw(parts[kind], "live", { points: each.charts[kind] });
    }
  }
}
look();
setInterval(look, 2000);
