// The page of `mmspec gallery`. Text of runs is only ever set as text.

const PAGE = 48; // samples of a set at a time
const EVERY = 5000; // milliseconds between looks at the disk

const view = document.getElementById("view");
const dialog = document.getElementById("large");
const status = document.getElementById("status");

const state = {
  runs: [],
  off: new Set(), // indices of runs that are not shown
  view: "samples",
  page: 0,
  large: null, // index of the sample that is shown large
  inTurn: false, // at one place in turn, instead of side by side
  turn: 0,
  at: 0, // of the walks; 0 the first step, 1 the last
  panes: [{ run: 0, at: 1 }, { run: 0, at: 1 }], // of the view of training; at: 0 the first preview, 1 the last
};

// Elements

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function chip(colour) {
  const element = make("span", { className: "chip", "aria-hidden": "true" });
  element.style.background = `var(--line-${colour})`;
  return element;
}

function said(text) {
  status.textContent = text;
}

// What the server tells

async function asked(address) {
  const answer = await fetch(address);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error || `${answer.status}`);
  return content;
}

function shownRuns() {
  return state.runs.map((run, index) => ({ ...run, index })).filter((run) => !state.off.has(run.index));
}

function shownSets(kind = "sets") {
  return shownRuns().flatMap((run) =>
    Object.entries(run[kind]).map(([name, set], _, all) =>
      ({ kind, run, name, ...set, title: all.length > 1 ? `${run.name}: ${name}` : run.name })));
}

function address(set, index, part) {
  return `api/runs/${set.run.index}/${set.kind}/${encodeURIComponent(set.name)}/${index}/${part}?v=${set.version}`;
}

// Side by side, or one at a time at the same place

function sides(elements) {
  elements.forEach((each, i) => { each.hidden = state.inTurn && i !== state.turn % elements.length; });
  return make("div", { className: state.inTurn ? "sides inturn" : "sides" }, ...elements);
}

function turnButtons() {
  return [
    make("button", { type: "button", "aria-pressed": String(state.inTurn), onclick: flip }, "one at a time"),
    make("button", { type: "button", hidden: !state.inTurn, onclick: nextTurn }, "next"),
  ];
}

// Samples: a page of each set, the same indices in all

function pages() {
  return Math.max(1, ...shownSets().map((set) => Math.ceil(set.count / PAGE)));
}

function samplesView() {
  const sets = shownSets();
  if (!sets.length) return [make("p", {}, "No samples yet: `mmspec sample from=RUN` draws some.")];
  state.page = Math.min(state.page, pages() - 1);
  const jump = make("input", {
    type: "number", min: 1, max: pages(), value: state.page + 1,
    onchange: () => turnTo(Number(jump.value) - 1),
  });
  const pager = make("div", { className: "bar", hidden: pages() === 1 },
    make("button", { type: "button", "aria-label": "Page before", onclick: () => turnTo(state.page - 1) }, "←"),
    make("label", {}, "Page ", jump, ` of ${pages()}`),
    make("button", { type: "button", "aria-label": "Next page", onclick: () => turnTo(state.page + 1) }, "→"));
  return [make("div", { className: "bar" }, pager, ...turnButtons()), sides(sets.map(setSection))];
}

function setSection(set) {
  const first = state.page * PAGE;
  const last = Math.min(set.count, first + PAGE);
  const grid = make("div", { className: set.sampleRate ? "grid sound" : "grid" });
  for (let index = first; index < last; index += 1) grid.append(cell(set, index));
  labelled(set, first, grid);
  const range = first < last ? `${first} to ${last - 1} of ${set.count.toLocaleString("en")}` : `${set.count} in all`;
  return make("section", { "aria-label": set.title },
    make("h2", {}, chip(set.run.colour), set.title), make("p", { className: "small" }, range), grid);
}

function cell(set, index) {
  const image = make("img", {
    loading: "lazy", src: address(set, index, "thumbnail.png"), alt: `Sample ${index} of ${set.title}`,
  });
  const parts = [make("button", { type: "button", onclick: () => enlarge(index) }, image)];
  if (set.sampleRate) parts.push(player(set, index));
  return make("div", { className: "cell" }, ...parts, make("span", { className: "name" }, `#${index}`));
}

function player(set, index) {
  const label = `Sample ${index} of ${set.title}`;
  return make("audio", { controls: true, preload: "none", src: address(set, index, "sound.wav"), "aria-label": label });
}

async function labelled(set, first, grid) {
  const name = encodeURIComponent(set.name);
  const labels = await asked(`api/runs/${set.run.index}/sets/${name}/labels?from=${first}&count=${PAGE}`).catch(() => []);
  labels.forEach((label, i) => {
    const place = grid.children[i] && grid.children[i].querySelector(".name");
    if (place && label) place.textContent = `#${first + i} ${label}`;
  });
}

function turnTo(page) {
  state.page = Math.min(Math.max(0, page), pages() - 1);
  draw();
}

// One sample large, in all sets

function enlarge(index) {
  const most = Math.max(...shownSets().map((set) => set.count)) - 1;
  state.large = Math.min(Math.max(0, index), most);
  drawLarge();
  if (!dialog.open) dialog.showModal();
}

function drawLarge() {
  const sets = shownSets().filter((set) => state.large < set.count);
  const figures = sets.map((set) => {
    const image = make("img", { src: address(set, state.large, "whole.png"), alt: `Sample ${state.large} of ${set.title}` });
    const sound = set.sampleRate ? [player(set, state.large)] : [];
    const caption = make("figcaption", {}, chip(set.run.colour), set.title);
    return make("figure", { className: set.sampleRate ? "" : "pixels" }, caption, image, ...sound);
  });
  dialog.replaceChildren(
    make("div", { className: "bar" },
      make("button", { type: "button", "aria-label": "Sample before", onclick: () => enlarge(state.large - 1) }, "←"),
      `sample ${state.large}`,
      make("button", { type: "button", "aria-label": "Next sample", onclick: () => enlarge(state.large + 1) }, "→"),
      ...turnButtons(),
      make("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    sides(figures));
}

function flip() {
  state.inTurn = !state.inTurn;
  redraw();
}

function nextTurn() {
  state.turn += 1;
  redraw();
}

function redraw() {
  if (dialog.open) drawLarge();
  else draw();
}

// Walks: what a denoiser predicts at each step of the sampler, the same share of the way in all

function walkView() {
  const walks = shownSets("walks");
  if (!walks.length) return [make("p", {}, "No walk is kept: `mmspec sample from=RUN walk=8` keeps those of eight samples.")];
  const drawn = walks.map(walkSection);
  const slider = make("input", {
    type: "range", min: 0, max: Math.max(...walks.map((walk) => walk.sigmas.length)) - 1, step: 1,
    "aria-label": "Step of the sampler", oninput: () => show(),
  });
  const most = Number(slider.max);
  const show = () => {
    state.at = most ? Number(slider.value) / most : 1;
    drawn.forEach(([, step]) => step(state.at));
  };
  slider.value = Math.round(state.at * most);
  show();
  return [
    make("p", { className: "small" }, "The clean signal that is predicted at each step, from noise on the left to the sample on the right."),
    make("div", { className: "bar" }, make("div", { className: "way" }, slider), ...turnButtons()),
    sides(drawn.map(([section]) => section)),
  ];
}

function walkSection(walk) {
  const where = make("output", { className: "small" });
  const steps = walk.sigmas.length;
  const cells = Array.from({ length: walk.count }, (_, index) => {
    const parts = [make("img", { alt: `Prediction ${index} of ${walk.title}` })];
    if (walk.sampleRate) parts.push(player(walk, index * steps));
    return make("div", { className: "cell" }, ...parts);
  });
  const step = (share) => {
    const at = Math.round(share * (steps - 1));
    where.textContent = `step ${at + 1} of ${steps}, σ = ${Number(walk.sigmas[at].toPrecision(2))}`;
    cells.forEach((cell, index) => {
      cell.firstChild.src = address(walk, index * steps + at, "thumbnail.png");
      if (walk.sampleRate) cell.lastChild.src = address(walk, index * steps + at, "sound.wav");
    });
  };
  const grid = make("div", { className: walk.sampleRate ? "grid sound" : "grid large" }, ...cells);
  return [make("section", { "aria-label": walk.title }, make("h2", {}, chip(walk.run.colour), walk.title), where, grid), step];
}

// Training: two previews, of two runs or of two steps of one

function trainingView() {
  const runs = state.runs.map((run, index) => ({ ...run, index })).filter((run) => run.previews.length);
  if (!runs.length) return [make("p", {}, "No previews: train with trainer.sample_every=1000.")];
  const panes = state.panes.map((pane, i) => paneFigure(runs, pane, i));
  return [make("div", { className: "bar" }, ...turnButtons()), sides(panes)];
}

function paneFigure(runs, pane, i) {
  const run = runs.find((each) => each.index === pane.run) || runs[Math.min(i, runs.length - 1)];
  pane.run = run.index;
  const most = run.previews.length - 1;
  const image = make("img");
  const step = make("output");
  const show = () => {
    const at = run.previews[Math.round(pane.at * most)];
    image.src = `api/runs/${run.index}/previews/${at}.png`;
    image.alt = `Preview of ${run.name} at step ${at}`;
    step.textContent = `step ${at.toLocaleString("en")}`;
  };
  const choice = make("select", { "aria-label": `Run ${i + 1}`, onchange: () => { pane.run = Number(choice.value); draw(); } },
    ...runs.map((each) => make("option", { value: each.index, selected: each.index === run.index }, each.name)));
  const slider = make("input", {
    type: "range", min: 0, max: most, step: 1, "aria-label": `Step of training, run ${i + 1}`,
    oninput: () => { pane.at = most ? Number(slider.value) / most : 1; show(); },
  });
  slider.value = Math.round(pane.at * most);
  show();
  return make("figure", {}, make("figcaption", {}, chip(run.colour), choice, " ", step), slider, image);
}

function moveSliders(by) {
  for (const slider of view.querySelectorAll("input[type=range]")) {
    slider.value = Number(slider.value) + by;
    slider.dispatchEvent(new Event("input"));
  }
}

// Curves

async function curvesView() {
  const chosen = shownRuns();
  const numbers = chosen.map((run) => run.index).join(",");
  const stamp = encodeURIComponent(chosen.map((run) => run.stamp).join("_"));
  const figures = numbers ? await asked(`api/figures?runs=${numbers}`) : [];
  if (!figures.length) return [make("p", {}, "Nothing logged or evaluated yet.")];
  return [make("div", { className: "sides" }, ...figures.map((figure, number) => make("figure", {},
    make("figcaption", {}, make("strong", {}, figure.title), make("ul", {},
      ...figure.legend.map(([colour, label]) => make("li", {}, chip(colour), label)))),
    make("img", { src: `api/figures/${number}.svg?runs=${numbers}&v=${stamp}`, alt: `${figure.title}. ${figure.caption}` }),
    make("p", { className: "small" }, figure.caption))))];
}

// Drawing, looking at the disk, keys

const VIEWS = { samples: samplesView, walk: walkView, training: trainingView, curves: curvesView };
let drawing = 0;

async function draw() {
  const mine = (drawing += 1);
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
  }
  try {
    const content = await VIEWS[state.view]();
    if (mine === drawing) view.replaceChildren(...content);
  } catch (error) {
    if (mine === drawing) said(error.message);
  }
}

function drawRuns() {
  const boxes = state.runs.map((run, index) => {
    const box = make("input", {
      type: "checkbox", checked: !state.off.has(index),
      onchange: () => { state.off[box.checked ? "delete" : "add"](index); draw(); },
    });
    return make("label", {}, box, " ", chip(run.colour), run.name);
  });
  const place = document.getElementById("runs");
  place.replaceChildren(place.querySelector("legend"), ...boxes);
}

// What of a run a view shows: if nothing of it has changed, sounds play on.
const SEEN = { samples: (run) => run.sets, walk: (run) => run.walks, training: (run) => run.previews, curves: (run) => run.stamp };

function seen() {
  return JSON.stringify(state.runs.map((run) => [run.error, SEEN[state.view](run)]));
}

async function look() {
  try {
    const runs = await asked("api/runs");
    const first = !state.runs.length;
    const before = seen();
    state.runs = runs;
    if (first) {
      if (runs.length > 1) state.panes[1].run = 1;
      drawRuns();
    }
    if (first || seen() !== before) await draw();
    said(runs.map((run) => run.error || "").join(" ").trim());
  } catch (error) {
    said(`No answer (${error.message}): is mmspec gallery still running?`);
  }
  setTimeout(look, EVERY);
}

function show(name) {
  state.view = name;
  draw();
}

const KEYS = {
  1: () => show("samples"),
  2: () => show("walk"),
  3: () => show("training"),
  4: () => show("curves"),
  f: flip,
  "?": () => { const keys = document.getElementById("keys"); keys.open = !keys.open; },
  p: () => { const sound = dialog.querySelector("figure:not([hidden]) audio"); if (dialog.open && sound) sound.play(); },
  " ": () => { if (state.inTurn) nextTurn(); },
  ArrowLeft: () => move(-1),
  ArrowRight: () => move(1),
};

function move(by) {
  if (dialog.open) enlarge(state.large + by);
  else if (state.view === "samples") turnTo(state.page + by);
  else moveSliders(by);
}

document.addEventListener("keydown", (event) => {
  const busy = event.target.closest("input:not([type=checkbox]), select, audio, summary");
  const pressed = event.key === " " && (event.target.closest("button, input") && !state.inTurn);
  if (event.ctrlKey || event.metaKey || event.altKey || busy || pressed || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});
for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => show(button.dataset.view));
}
look();
