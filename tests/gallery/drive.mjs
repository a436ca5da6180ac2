// Drives the gallery's page in jsdom: node drive.mjs ADDRESS; prints what it saw as JSON. See test_page.py.
import { createRequire } from "node:module";

const { JSDOM, VirtualConsole } = createRequire(`${process.env.JSDOM_FOLDER}/`)("jsdom");
const [address] = process.argv.slice(2);
const errors = [];
const seen = {};

const html = await (await fetch(address)).text();
const script = await (await fetch(`${address}gallery.js`)).text();
const virtualConsole = new VirtualConsole();
virtualConsole.on("jsdomError", (error) => errors.push(error.message));
virtualConsole.on("error", (...words) => errors.push(words.join(" ")));
const dom = new JSDOM(html.replace(/<script[^>]*><\/script>/, ""), { url: address, runScripts: "outside-only", virtualConsole });
const { window } = dom;
const { document } = window;
window.fetch = (path) => fetch(new URL(path, address));
window.HTMLDialogElement.prototype.showModal = function open() { this.open = true; };
window.HTMLDialogElement.prototype.close = function close() { this.open = false; };
window.eval(`(async () => { ${script} })()`);

const wait = () => new Promise((done) => setTimeout(done, 400));
const all = (selector) => [...document.querySelectorAll(selector)];
const press = async (key) => {
  document.activeElement.dispatchEvent(new window.KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  await wait();
};
const sources = (selector) => all(selector).map((each) => each.getAttribute("src") || each.src.replace(address, ""));
const loads = async (paths) => Promise.all(paths.map(async (path) => (await fetch(new URL(path, address))).status));

await wait();
await wait();
seen.runs = all("#runs label").map((label) => label.textContent.trim());
seen.sections = all("main section").map((section) => section.getAttribute("aria-label"));
seen.first = sources("main .cell img").slice(0, 2);
seen.cells = all("main .cell").length;
seen.labels = all("main .name").slice(0, 2).map((each) => each.textContent);
seen.players = sources("main audio");
seen.loaded = await loads([...sources("main .cell img"), ...seen.players]);
await press("ArrowRight");
seen.second = sources("main .cell img")[0];
await press("ArrowLeft");
all("main .cell button")[1].click();
await wait();
seen.large = sources("dialog img");
seen.largeLoaded = await loads([...seen.large, ...sources("dialog audio")]);
const visible = () => all("dialog figure").map((figure) => !figure.hidden);
await press("f");
seen.inTurn = visible();
await press(" ");
seen.afterSpace = visible();
await press("f");
await press("ArrowRight");
seen.next = sources("dialog img");
document.getElementById("large").close();
all("#runs input")[1].click();
await wait();
seen.without = all("main section").map((section) => section.getAttribute("aria-label"));
all("#runs input")[1].click();
await press("2");
seen.steps = all("output").map((each) => each.textContent);
seen.previews = await loads(sources("main img"));
await press("ArrowLeft");
seen.earlier = all("output").map((each) => each.textContent);
await press("3");
for (let tries = 0; tries < 50 && !all("figcaption strong").length; tries += 1) await wait(); // they are drawn first
seen.curves = all("figcaption strong").map((each) => each.textContent);
seen.drawn = await loads(sources("main img"));
await press("?");
seen.help = document.getElementById("keys").open;
seen.status = document.getElementById("status").textContent;
seen.alts = all("img").every((image) => image.alt);
process.stdout.write(JSON.stringify({ ...seen, errors }));
process.exit(0);
