import { ExportedDenoiser, noise } from "./denoiser.js";

const form = document.querySelector("form");
const status = document.querySelector("output");
let opened = null;

/** Files of the chosen folder, by name. */
function read(name) {
  const file = [...form.folder.files].find((each) => each.name === name);
  if (!file) throw new Error(`the folder holds no ${name}: choose one that mmspec export wrote.`);
  return file.arrayBuffer();
}

async function open() {
  opened = null;
  status.textContent = "loading";
  const base = new URL(form.runtime.value, document.baseURI).href;
  const ort = await import(`${base}ort.wasm.min.mjs`);
  ort.env.wasm.wasmPaths = base;
  if (!globalThis.crossOriginIsolated) ort.env.wasm.numThreads = 1;
  opened = await ExportedDenoiser.open(ort, read);
}

form.folder.addEventListener("change", said(async () => {
  opened = null;
  const { signal } = JSON.parse(new TextDecoder().decode(await read("config.json")));
  form.label.replaceChildren(...(signal.classes ?? []).map((name, number) => new Option(name, number)));
  form.label.disabled = !signal.classes;
}));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  said(draw)();
});

async function draw() {
  if (opened === null) await open();
  const started = performance.now();
  const label = form.label.disabled ? null : Number(form.label.value);
  const seed = Number(form.seed.value);
  const x = await opened.sample(label, noise(seed), (done, all) => {
    status.textContent = `${Math.round((100 * done) / all)}%`;
  });
  show(x, opened.facts.signal);
  status.textContent = `drawn in ${((performance.now() - started) / 1000).toFixed(1)} s`;
}

/** What went wrong, in the page. */
function said(action) {
  return async () => {
    try {
      await action();
    } catch (error) {
      status.textContent = error.message;
    }
  };
}

function show(x, { shape, sample_rate: rate }) {
  const [canvas, audio] = [document.querySelector("canvas"), document.querySelector("audio")];
  [canvas.hidden, audio.hidden] = [rate !== null, rate === null];
  if (rate === null) paint(canvas, x, shape);
  else audio.src = URL.createObjectURL(wav(x.subarray(0, shape[1]), rate));
}

function paint(canvas, x, [channels, height, width]) {
  [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i += 1) {
    for (let c = 0; c < 3; c += 1) pixels.data[4 * i + c] = x[(channels === 3 ? c : 0) * width * height + i] * 127.5 + 127.5;
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** The first channel as a 16-bit WAV file. */
function wav(x, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * x.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * x.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([at, value]) => view.setUint16(at, value, true));
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  text(36, "data");
  view.setUint32(40, 2 * x.length, true);
  x.forEach((value, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}
