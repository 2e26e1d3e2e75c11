// Sends photos to the model server that this page came from and shows what it answers.

const AT_ONCE = 3;
const TRIES = 6;
const VERDICTS = {
  "agrees": (answer, chance) => ["Agrees", answer.label === String(answer.expected_quantity)
    ? `The photo looks like the expected ${answer.expected_quantity}.`
    : `The expected ${answer.expected_quantity} is likely too (${chance}).`],
  "recount": (answer, chance) => ["Recount", `The expected ${answer.expected_quantity} is unlikely (${chance}).`],
  "unsure": () => ["Unsure", "The photo does not say enough. Have a look yourself."],
  "not countable": (answer) => ["Not countable", `This model cannot tell ${answer.expected_quantity} items.`],
};
const SUMMARY = [["recount", "to recount"], ["unsure", "unsure"], ["not countable", "not countable"], ["agrees", "as expected"]];

const one = (selector, root = document) => root.querySelector(selector);
// a gateway may serve the page under a path, with or without a slash at its end
const predictUrl = new URL(document.body.dataset.predict, location.origin + location.pathname.replace(/\/?$/, "/"));
const list = one("#list");
const bins = new Map(); // card element -> {file, url, answer, asked}
const waiting = [];
let atWork = 0;

const percent = (share) => (share > 0 && share < 0.01 ? "<\u00a01\u00a0%" : `${Math.round(100 * share)}\u00a0%`);
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const say = (text) => { one("#status").textContent = text; };

function add(files) {
  const expected = one("#expected");
  const value = expected.validity.valid ? expected.value : "";
  for (const file of files) {
    const card = one("#card").content.firstElementChild.cloneNode(true);
    const url = URL.createObjectURL(file);
    const image = one("img", card);
    image.addEventListener("error", () => card.classList.add("unshown"));
    image.src = url;
    one("h3", card).textContent = file.name;
    one("h3", card).title = file.name;
    one(".remove", card).setAttribute("aria-label", `Remove ${file.name}`);
    one(".remove", card).addEventListener("click", () => { remove(card); one("#results-title").focus(); });
    one(".record input", card).value = value;
    one(".record input", card).addEventListener("change", () => ask(card));
    bins.set(card, { file, url, answer: null, asked: 0 });
    list.append(card);
    ask(card);
  }
  summarise();
}

function remove(card) {
  URL.revokeObjectURL(bins.get(card).url);
  bins.delete(card);
  card.remove();
  summarise();
}

function ask(card) {
  if (!one(".record input", card).validity.valid) return;
  bins.get(card).asked += 1;
  waiting.push([card, bins.get(card).asked]);
  work();
}

async function work() {
  while (atWork < AT_ONCE && waiting.length) {
    const [card, asked] = waiting.shift();
    if (bins.get(card)?.asked !== asked) continue; // removed, or asked again with another quantity
    atWork += 1;
    predict(bins.get(card).file, one(".record input", card).value)
      .then((answer) => bins.get(card)?.asked === asked && show(card, answer))
      .catch((error) => bins.get(card)?.asked === asked && showProblem(card, error.message))
      .finally(() => { atWork -= 1; work(); });
  }
}

async function predict(file, expected) {
  const query = expected === "" ? "" : `?expected_quantity=${encodeURIComponent(expected)}`;
  for (let attempt = 1; ; attempt += 1) {
    let response;
    try {
      response = await fetch(predictUrl + query, {
        method: "POST", body: file, headers: { "content-type": file.type || "application/octet-stream" },
      });
    } catch {
      if (attempt === TRIES) throw new Error("The server cannot be reached.");
      await pause(0.3 * 2 ** attempt);
      continue;
    }
    const content = await response.json().catch(() => null);
    if (response.ok && content?.predictions) return content.predictions[0];
    if ([429, 503].includes(response.status) && attempt < TRIES) {
      await pause(Number(response.headers.get("retry-after")) || 1);
      continue;
    }
    const reason = content?.error ?? `The server answered ${response.status}.`;
    throw new Error(reason[0].toUpperCase() + reason.slice(1));
  }
}

function show(card, answer) {
  bins.get(card).answer = answer;
  one(".waiting", card).hidden = true;
  one(".problem", card).hidden = true;
  for (const part of card.querySelectorAll(".answer")) part.hidden = false;
  one(".number", card).textContent = answer.label;
  one(".unit", card).textContent = answer.label === "1" ? "item" : "items";
  one(".percent", card).textContent = `${percent(answer.confidence)} sure`;
  one(".meter", card).setAttribute("aria-valuenow", Math.round(100 * answer.confidence));
  one(".meter span", card).style.width = `${100 * answer.confidence}%`;
  one("tbody", card).replaceChildren(...Object.entries(answer.probabilities).map(([label, share]) => row(label, share, answer)));
  const verdict = one(".verdict", card);
  verdict.hidden = !answer.verdict;
  if (answer.verdict) {
    const [title, text] = VERDICTS[answer.verdict](answer, percent(1 - answer.mismatch_probability));
    const strong = document.createElement("strong");
    strong.textContent = title;
    verdict.className = `verdict ${answer.verdict.replace(" ", "-")}`;
    verdict.replaceChildren(strong, text);
  }
  const name = bins.get(card).file.name;
  say(`${name}: ${answer.label} items, ${percent(answer.confidence)} sure${answer.verdict ? `, ${answer.verdict}` : ""}.`);
  summarise();
}

function row(label, share, answer) {
  const made = document.createElement("tr");
  made.className = label === answer.label ? "best" : "";
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = label;
  const wide = document.createElement("td");
  wide.className = "wide";
  wide.ariaHidden = "true";
  const strip = document.createElement("span");
  strip.className = "strip";
  strip.style.width = `${100 * share}%`;
  wide.append(strip);
  const number = document.createElement("td");
  number.className = "share";
  number.textContent = percent(share);
  made.append(name, wide, number);
  return made;
}

function showProblem(card, message) {
  bins.get(card).answer = null;
  one(".waiting", card).hidden = true;
  for (const part of card.querySelectorAll(".answer, .verdict, .record")) part.hidden = true;
  one(".problem", card).hidden = false;
  one(".problem", card).textContent = message;
  say(`${bins.get(card).file.name}: ${message}`);
  summarise();
}

function summarise() {
  one("#results").hidden = bins.size === 0;
  const verdicts = [...bins.values()].map(({ answer }) => answer?.verdict);
  const parts = SUMMARY.map(([name, text]) => [verdicts.filter((verdict) => verdict === name).length, text]);
  const photos = `${bins.size} photo${bins.size === 1 ? "" : "s"}`;
  one("#summary").textContent = [photos, ...parts.filter(([number]) => number).map((part) => part.join(" "))].join(" · ");
}

one("#photos").addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
one("#ask").addEventListener("submit", (event) => event.preventDefault());
one("#clear").addEventListener("click", () => { [...bins.keys()].forEach(remove); one("#photos").focus(); });
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
}
for (const name of ["dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === "drop" || !event.relatedTarget) document.body.classList.remove("dropping");
  });
}
document.addEventListener("drop", (event) => add(event.dataTransfer.files));
document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) add(event.clipboardData.files); });
