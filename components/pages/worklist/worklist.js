// A list of bins to work through: filter and order it, enter what was counted, look at photos in full, save the counts.
// worklist.html.j2 says what the page holds. Rows have the columns of the recount list; `position` is the order without ranks.

const FORMULA = /^[=+\-@\t\r]/; // a spreadsheet takes a text that begins so for a formula
const COUNTED = "counted", TO_COUNT = "not counted yet";

const one = (selector, root = document) => root.querySelector(selector);
const cards = () => [...one("#list").children];
const shown = () => cards().filter((card) => !card.hidden);
const rowOf = (card) => JSON.parse(card.dataset.row);
const boxOf = (card) => one(".counted input", card);
const byName = new Intl.Collator(undefined, { numeric: true });

// What was counted, as text; empty for no count.
function countOf(card) {
  const box = boxOf(card);
  return box.validity.valid ? box.value.trim() : "";
}

function setCount(card, text) {
  boxOf(card).value = text;
  card.classList.toggle("done", countOf(card) !== "");
}

// onCount(card): a count was entered; onAnew(): forget everything; further(): rows to save that are no cards.
function startWorklist({ onCount, onAnew, further = () => [] }) {
  const list = one("#list");
  one("#show").addEventListener("change", arrange);
  one("#order").addEventListener("change", arrange);
  one("#export").addEventListener("click", () => save(list.dataset.saved, csv(further())));
  one("#print").addEventListener("click", () => window.print());
  one("#anew").addEventListener("click", () => {
    const counts = cards().filter(countOf).length;
    if (!counts || window.confirm(`Forget the ${counts === 1 ? "count" : `${counts} counts`} that you entered?`)) onAnew();
  });
  list.addEventListener("input", ({ target }) => {
    if (!target.closest(".counted")) return;
    const card = target.closest("#list > *");
    setCount(card, target.value);
    onCount(card);
    summariseCounts();
  });
  list.addEventListener("keydown", (event) => {
    const step = { Enter: 1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.closest(".counted")) return;
    event.preventDefault();
    const next = neighbour(event.target.closest("#list > *"), step);
    if (next) boxOf(next).focus();
  });
  list.addEventListener("click", ({ target }) => target.closest(".photo") && view(target.closest("#list > *")));
  const viewer = one("#viewer");
  viewer.addEventListener("click", () => viewer.close());
  viewer.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
    const next = step && neighbour(viewer.card, step, (card) => one(".photo img", card)?.src);
    if (next) view(next);
  });
  viewer.addEventListener("close", () => one(".photo", viewer.card)?.focus());
  arrange();
}

function neighbour(card, step, wanted = () => true) {
  const found = shown().filter((each) => each === card || wanted(each));
  return found[found.indexOf(card) + step];
}

function view(card) {
  const viewer = one("#viewer"), row = rowOf(card);
  viewer.card = card;
  one("img", viewer).src = one(".photo img", card).src;
  one("img", viewer).alt = `Photo of ${row.id}`;
  const said = [["record", row.expected_quantity], ["photo", row.predicted_count]].filter(([, value]) => (value ?? "") !== "");
  one("p", viewer).textContent = [row.id, ...said.map((part) => part.join(" "))].join(" · ");
  if (!viewer.open) viewer.showModal();
}

// Orders and filters the list, and offers the filters that there are.
function arrange() {
  const rows = new Map(cards().map((card) => [card, rowOf(card)]));
  offer([...rows.values()].map(({ verdict }) => verdict).filter(Boolean));
  const wanted = one("#show").value;
  for (const [card, row] of rows) {
    const counted = countOf(card) !== "";
    card.hidden = wanted !== "" && !(wanted === COUNTED ? counted : wanted === TO_COUNT ? !counted : row.verdict === wanted);
  }
  const rank = ({ rank, position }) => [rank ?? Number.MAX_VALUE, position];
  const byRank = one("#order").value === "rank";
  const sorted = [...rows].sort(([, a], [, b]) => (!byRank && byName.compare(a.id, b.id))
    || rank(a)[0] - rank(b)[0] || a.position - b.position).map(([card]) => card);
  if (sorted.some((card, place) => card !== one("#list").children[place])) {
    const focused = document.activeElement;
    one("#list").append(...sorted);
    focused.focus({ preventScroll: true });
  }
  summariseCounts();
}

function offer(verdicts) {
  const show = one("#show"), before = show.value;
  const kinds = [TO_COUNT, COUNTED, ...[...new Set(verdicts)].sort()];
  if (kinds.join() === [...show.options].slice(1).map(({ value }) => value).join()) return;
  show.replaceChildren(new Option("all", ""), ...kinds.map((kind) => new Option(kind, kind)));
  show.value = kinds.includes(before) ? before : "";
}

function summariseCounts() {
  const all = cards();
  one("#progress").textContent = `${all.filter(countOf).length} of ${all.length} counted`;
}

// The list as a CSV that `inventory feedback` takes.
function csv(further) {
  const columns = one("#list").dataset.columns.split(",");
  const rows = cards().map((card) => ({ ...rowOf(card), counted: countOf(card) }));
  rows.sort((a, b) => (a.rank ?? Number.MAX_VALUE) - (b.rank ?? Number.MAX_VALUE) || a.position - b.position);
  const lines = [...rows, ...further].map((row) => columns.map((name) => cell(row[name])));
  return [columns, ...lines].map((line) => `${line.join(",")}\r\n`).join("");
}

function cell(value) {
  const text = typeof value === "number" && !Number.isInteger(value) ? value.toFixed(4) : String(value ?? "");
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" })); // the mark: Excel then reads UTF-8
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
