// The page at /: photos are counted, and with a stock list become the list to recount.

const AT_ONCE = 3;
const MOST_PHOTOS = 2000; // of the page; more are for `inventory reconcile`
const MOST_LISTED = 50; // rows and names that are shown
const TABLE = /\.(csv|tsv|txt|tab|xlsx|xlsm|xls|ods|json|jsonl|ndjson|pdf)$/i;
const SUMMARY = [["recount", "to recount"], ["unsure", "unsure"], ["not countable", "not countable"], ["agrees", "as expected"]];

const list = one("#list");
const bins = new Map(); // card -> {key, file, url, typed, record, answer, problem, asked}
let stock = null; // the stock list's file, once it is read
let read = null; // what the server read in it
const waiting = [];
let atWork = 0;
let lastKey = 0;
let ranking = 0;
let brought = Promise.resolve();
let named = Promise.resolve();

const say = (text) => { one("#status").textContent = text; };
const plural = (number, kind, kinds = `${kind}s`) => `${number} ${number === 1 ? kind : kinds}`;

// ---- what a person brings

// Takes files, after those that came before.
function bring(files) {
  const given = [...files];
  brought = brought.then(() => take(given)).catch((error) => tell(error.message));
}

async function take(given) {
  const tables = given.filter(({ name, type }) => TABLE.test(name) || type === "text/csv");
  const photos = given.filter((file) => !tables.includes(file));
  const room = MOST_PHOTOS - bins.size;
  tell(photos.length > room
    ? `This page takes ${MOST_PHOTOS} photos; ${photos.length - room} were left out. inventory reconcile takes any number.` : "");
  const made = photos.slice(0, room).map((file) => {
    lastKey = Math.max(lastKey + 1, Date.now());
    keep(["photo", lastKey], file);
    const card = addCard({ key: lastKey, file, typed: one("#expected").validity.valid ? one("#expected").value : "" });
    keepState(card);
    return card;
  });
  summarise();
  const list = tables.at(-1) ?? (made.length ? stock : null);
  if (!list || !(await takeStock(list))) made.forEach(settle);
  rank();
}

function addCard({ key, file, typed = "", answer = null, count = "" }) {
  const url = URL.createObjectURL(file);
  const card = makeCard(file.name, url);
  bins.set(card, { key, file, url, typed, answer, problem: "", record: null, asked: 0, sha256: "" });
  one(".record input", card).value = typed;
  one(".record input", card).addEventListener("change", () => {
    if (!one(".record input", card).validity.valid) return;
    bins.get(card).typed = one(".record input", card).value;
    settle(card);
    rank();
  });
  one(".remove", card).addEventListener("click", () => { remove(card); one("#results-title").focus(); });
  one(".again", card).addEventListener("click", () => ask(card));
  setCount(card, count);
  describe(card);
  list.append(card);
  named = named.then(() => nameContent(card)).catch(() => {}); // of a file that is gone the column stays empty
  return card;
}

// Names the photo's content in the bin's row, so that a count is of this photo whatever becomes of its name. Browsers
// compute hashes only for pages that came over HTTPS or from this machine; elsewhere the column stays empty. A photo is
// read whole for it, so that they come one after the other.
async function nameContent(card) {
  const bin = bins.get(card);
  if (!crypto.subtle || !bin) return; // the photo was removed meanwhile
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await bin.file.arrayBuffer()));
  bin.sha256 = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  card.dataset.row = JSON.stringify({ ...rowOf(card), photo_sha256: bin.sha256 });
}

function remove(card) {
  const { url, key } = bins.get(card);
  URL.revokeObjectURL(url);
  bins.delete(card);
  card.remove();
  forget(["photo", key], ["state", key]);
  showStock();
  summarise();
  rank();
}

// Reads a stock list and gives each photo its record; says whether that went well.
async function takeStock(file) {
  const all = [...bins.keys()].sort((a, b) => bins.get(a).key - bins.get(b).key);
  try {
    read = await readStock(file, all.map((card) => bins.get(card).file.name));
    if (file !== stock) keep(["stock"], file);
    stock = file;
  } catch (error) {
    tell(error.message);
    say(error.message);
    return false;
  }
  const records = new Map(read.records.map((record) => [all[record.photo], record]));
  for (const [card, bin] of bins) {
    bin.record = records.get(card) ?? null;
    nameCard(card, bin.record?.id ?? bin.file.name, bin.record?.products ?? "");
    settle(card);
  }
  showStock();
  return true;
}

function startAnew() {
  for (const [card, { url }] of bins) {
    URL.revokeObjectURL(url);
    card.remove();
  }
  bins.clear();
  [stock, read] = [null, null];
  one("#cost").value = one("#cost").defaultValue;
  forgetAll();
  tell("");
  showStock();
  summarise();
  arrange();
  one("#photos").focus();
}

// ---- asking

// What the record says of a bin, as text; empty when nobody says.
const expected = ({ record, typed }) => String((record ? record.expected_quantity : typed) ?? "");

// Shows the answer of a bin, or asks for it when there is none for its record.
function settle(card) {
  const bin = bins.get(card);
  one(".record", card).hidden = bin.record !== null;
  if (bin.answer && bin.answer.model === VERSION && String(bin.answer.expected_quantity ?? "") === expected(bin)) {
    showAnswer(card, bin.answer);
    describe(card);
  } else {
    ask(card);
  }
}

function ask(card) {
  bins.get(card).asked += 1;
  bins.get(card).problem = "";
  showWaiting(card);
  waiting.push([card, bins.get(card).asked]);
  work();
}

function work() {
  while (atWork < AT_ONCE && waiting.length) {
    const [card, asked] = waiting.shift();
    const bin = bins.get(card);
    if (bin?.asked !== asked) continue; // removed, or asked again with another quantity
    atWork += 1;
    predict(bin.file, expected(bin))
      .then((answer) => {
        if (answer.unusable) throw new Error(`Unusable photo (${answer.unusable}): take it again.`);
        if (bin.asked === asked && bins.has(card)) answered(card, answer);
      })
      .catch((error) => bin.asked === asked && bins.has(card) && failed(card, error.message))
      .finally(() => { atWork -= 1; work(); rank(); });
  }
}

function answered(card, answer) {
  const bin = bins.get(card);
  bin.answer = answer;
  showAnswer(card, answer);
  describe(card);
  keepState(card);
  const name = bin.record?.id ?? bin.file.name;
  say(`${name}: ${answer.label} items, ${percent(answer.confidence)} sure${answer.verdict ? `, ${answer.verdict}` : ""}.`);
  summarise();
}

function failed(card, message) {
  const bin = bins.get(card);
  bin.answer = null;
  bin.problem = message;
  showProblem(card, message);
  describe(card);
  say(`${bin.record?.id ?? bin.file.name}: ${message}`);
  summarise();
}

function keepState(card) {
  const { key, typed, answer } = bins.get(card);
  keep(["state", key], { typed, answer, count: boxOf(card).value });
}

// ---- the list

// As the recount list of `inventory reconcile` says it.
const besidePhoto = ({ label, confidence }) => `photo and products together: ${label} (${Math.round(100 * confidence)}% sure)`;

// Writes a bin's row of the recount list; its rank comes later.
function describe(card, rank = null, wrong = null, together = null) {
  const { key, file, record, answer, problem, sha256 } = bins.get(card);
  const quantity = expected(bins.get(card));
  const unread = record?.problem || problem;
  const row = {
    rank,
    id: record?.id ?? file.name.replace(/\.(jpe?g|png|webp)$/i, ""),
    expected_quantity: quantity === "" ? null : Number(quantity),
    predicted_count: answer?.label ?? null,
    verdict: answer?.verdict ?? (problem ? "not checked" : null),
    wrong_probability: wrong,
    mismatch_probability: answer?.mismatch_probability ?? null,
    confidence: answer?.confidence ?? null,
    photo_sha256: sha256,
    products: record?.products ?? "",
    note: unread ? `not checked: ${unread}` : stock && !record ? "no row in the stock list" : together ? besidePhoto(together) : "",
    position: key,
  };
  card.dataset.row = JSON.stringify(row);
  showRank(card, row);
  one(".note", card).hidden = !(stock && row.note && !problem && !together); // what products say stands in the verdict
  one(".note", card).textContent = record?.problem ? capital(record.problem) : capital(row.note || " ");
}

// Ranks what is answered, once nothing is at work any more.
async function rank() {
  if (atWork || waiting.length) return;
  ranking += 1;
  const now = ranking;
  const ranked = stock ? [...bins].filter(([, { record, answer }]) => record && (answer?.mismatch_probability ?? null) !== null) : [];
  let said = { bins: [], summary: "" };
  try {
    const cost = one("#cost");
    if (ranked.length) said = await rankRecords(ranked.map(([, bin]) => bin), Number(cost.validity.valid ? cost.value : cost.defaultValue));
  } catch (error) {
    said.summary = error.message;
  }
  if (now !== ranking || atWork || waiting.length) return; // things have changed meanwhile
  one("#wrong").textContent = said.summary;
  one("#wrong").hidden = !said.summary;
  said.bins.forEach(({ rank, wrong_probability, verdict, with_products }, place) => {
    const [card, bin] = ranked[place];
    bin.answer = { ...bin.answer, verdict };
    showVerdict(card, bin.answer, with_products);
    describe(card, rank, wrong_probability, with_products);
  });
  summarise();
  arrange();
}

// Rows of the stock list without a photo, as rows of the recount list.
function withoutPhoto() {
  return (read?.records ?? []).filter(({ photo }) => photo === null).map(({ id, expected_quantity, products, problem }) => (
    { id, expected_quantity, products, note: `not checked: ${problem || "no photo"}` }));
}

function showStock() {
  document.body.classList.toggle("listed", stock !== null);
  one("#stock-name").textContent = stock ? stock.name : one("#stock-name").dataset.hint;
  one("#apart").hidden = one("#missed").hidden = !stock;
  one("#expect").hidden = stock !== null;
  const unmatched = [...bins.values()].filter(({ record }) => !record).map(({ file }) => file.name);
  const rows = withoutPhoto().map(({ id, expected_quantity, note }) => `${id}${expected_quantity === null ? ` (${note})` : `, expected ${expected_quantity}`}`);
  tellApart("#rows-without", rows, "row without a photo", "rows without a photo");
  tellApart("#photos-without", unmatched, "photo without a row", "photos without a row");
  tellApart("#left-out", read?.left_out ?? [], "row that is no record", "rows that are no record");
  tellApart("#remarks", read?.remarks ?? [], "id that is spelled otherwise", "ids that are spelled otherwise");
  tellApart("#on-products", read?.on_products ?? [], "remark on the products", "remarks on the products");
}

function tellApart(selector, texts, kind, kinds) {
  const part = one(selector);
  part.hidden = !stock || !texts.length;
  one("summary", part).textContent = plural(texts.length, kind, kinds);
  const items = texts.slice(0, MOST_LISTED).map((text) => Object.assign(document.createElement("li"), { textContent: text }));
  if (texts.length > MOST_LISTED) {
    items.push(Object.assign(document.createElement("li"), { textContent: `and ${texts.length - MOST_LISTED} more` }));
  }
  one("ul", part).replaceChildren(...items);
}

function tell(problem) {
  one("#problem").hidden = !problem;
  one("#problem").textContent = problem;
}

function summarise() {
  one("#results").hidden = bins.size === 0 && !stock;
  const verdicts = [...bins.values()].map(({ answer }) => answer?.verdict);
  const parts = SUMMARY.map(([name, text]) => [verdicts.filter((verdict) => verdict === name).length, text]);
  one("#summary").textContent = [plural(bins.size, "photo"), ...parts.filter(([number]) => number).map((part) => part.join(" "))].join(" · ");
  summariseCounts();
}

// ---- the beginning

async function restore() {
  const kept = await allKept();
  const states = new Map(kept.filter(([[kind]]) => kind === "state").map(([[, key], state]) => [key, state]));
  for (const [[kind, key], file] of kept) {
    if (kind === "photo") addCard({ key, file, ...states.get(key) });
  }
  summarise();
  one("#cost").value = kept.find(([[kind]]) => kind === "cost")?.[1] ?? one("#cost").defaultValue;
  const list = kept.find(([[kind]]) => kind === "stock")?.[1];
  if (!list || !(await takeStock(list))) [...bins.keys()].forEach(settle);
  rank();
}

startWorklist({ onCount: keepState, onAnew: startAnew, further: withoutPhoto });
for (const input of [one("#photos"), one("#stock")]) {
  input.addEventListener("change", () => { bring(input.files); input.value = ""; });
}
one("#cost").addEventListener("change", () => { keep(["cost"], one("#cost").value); rank(); });
one("#ask").addEventListener("submit", (event) => event.preventDefault());
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
}
for (const name of ["dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === "drop" || !event.relatedTarget) document.body.classList.remove("dropping");
  });
}
document.addEventListener("drop", (event) => bring(event.dataTransfer.files));
document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) bring(event.clipboardData.files); });
brought = restore();
