// An exported denoiser and its sampler's walk: what mmspec/exported/model.py does, in the browser.

const FORMAT = "mmspec-exported-2";

/** Standard normal numbers of a seed: other ones than torch draws, so other samples of the same kind. */
export function noise(seed) {
  let state = seed >>> 0;
  const uniform = () => { // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return (count) => Float64Array.from({ length: count }, // Box and Muller 1958
    () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

const ARITHMETIC = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  clamp: (a, low, high) => Math.min(Math.max(a, low), high),
};

/**
 * What a walk's instructions give: each is an operation and its operands, a text the result of the instruction of that
 * number.
 * @param draw new noise, Float64Array.
 * @param denoise (x, sigma) -> promise of x0_hat.
 * @param onStep told how many instructions are done, of how many.
 */
export async function walk(instructions, draw, denoise, onStep = () => {}) {
  const results = [];
  for (const [at, [operation, ...operands]] of instructions.entries()) {
    const values = operands.map((each) => (typeof each === "string" ? results[Number(each)] : each));
    if (operation === "draw") results.push(draw());
    else if (operation === "denoise") results.push(await denoise(...values));
    else results.push(elementwise(ARITHMETIC[operation], values));
    onStep(at + 1, instructions.length);
  }
  return results.at(-1);
}

function elementwise(operation, values) {
  const { length } = values.find((each) => typeof each !== "number");
  const at = values.map((each) => (typeof each === "number" ? () => each : (i) => each[i]));
  return Float64Array.from({ length }, (_, i) => operation(...at.map((each) => each(i))));
}

export class ExportedDenoiser {
  /**
   * @param ort onnxruntime-web.
   * @param read name of a file -> promise of its ArrayBuffer.
   */
  static async open(ort, read) {
    const json = async (name) => JSON.parse(new TextDecoder().decode(await read(name)));
    const facts = await json("config.json");
    if (facts.format !== FORMAT || facts.graph !== "onnx") {
      throw new Error(`the folder is of ${facts.format} for ${facts.graph}, this page reads ${FORMAT} for onnx: export it again.`);
    }
    const untold = Object.keys(facts.conditions).find((name) => !["labels", "augment_labels"].includes(name));
    if (untold) throw new Error(`the denoiser is told a ${untold}, which this page does not make: give another one.`);
    const session = async (name) => ort.InferenceSession.create(await read(name), { executionProviders: ["wasm"] });
    const decoder = "decoder.onnx" in facts.files ? await session("decoder.onnx") : null;
    return new ExportedDenoiser(ort, facts, await json("walk.json"), await session("model.onnx"), decoder);
  }

  constructor(ort, facts, instructions, denoiser, decoder) {
    Object.assign(this, { ort, facts, instructions, denoiser, decoder });
  }

  /**
   * A signal, channels first, Float32Array in [-1, 1].
   * @param label number of its class, or null.
   * @param draw count -> Float64Array of noise.
   */
  async sample(label, draw, onStep) {
    const count = this.facts.latent_shape.reduce((a, b) => a * b, 1);
    const x0 = await walk(this.instructions, () => draw(count), (x, sigma) => this.guided(x, sigma, label), onStep);
    if (this.decoder === null) return Float32Array.from(x0);
    const z = new this.ort.Tensor("float32", Float32Array.from(x0), [1, ...this.facts.latent_shape]);
    return first(await this.decoder.run({ z })).data;
  }

  async guided(x, sigma, label) {
    const scale = this.facts.guidance;
    const told = await this.call(x, sigma, label);
    if (scale === null) return told;
    const without = await this.call(x, sigma, null);
    return told.map((each, i) => without[i] + scale * (each - without[i]));
  }

  async call(x, sigma, label) {
    const { Tensor } = this.ort;
    const inputs = {
      x: new Tensor("float32", Float32Array.from(x), [1, ...this.facts.latent_shape]),
      sigma: new Tensor("float32", [sigma], [1]),
    };
    for (const [name, width] of Object.entries(this.facts.conditions)) {
      const row = new Float32Array(width);
      if (name === "labels" && label !== null) row[label] = 1;
      inputs[name] = new Tensor("float32", row, [1, width]);
    }
    return Float64Array.from(first(await this.denoiser.run(inputs)).data);
  }
}

const first = (outputs) => Object.values(outputs)[0];
