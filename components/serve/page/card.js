// Shows one bin: its photo, what the server answered, and what that says of its record.

// Whether the record names what the photo most likely shows; an open top stands for every larger quantity.
const namesTheCount = ({ confidence, mismatch_probability }) => 1 - mismatch_probability > confidence - 1e-6;

const VERDICTS = {
  "agrees": (answer, chance) => ["Agrees", namesTheCount(answer)
    ? `The photo looks like the expected ${answer.expected_quantity}.`
    : `The expected ${answer.expected_quantity} is possible (${chance}).`],
  "recount": (answer, chance) => ["Recount", `The expected ${answer.expected_quantity} is unlikely (${chance}).`],
  "unsure": (answer, chance) => ["Unsure", `The expected ${answer.expected_quantity} is possible (${chance}). Have a look yourself.`],
  "not countable": (answer) => ["Not countable", `This model tells ${document.body.dataset.counts} apart, so it cannot check a record of `
    + `${answer.expected_quantity}; the photo looks most like ${answer.label}.`],
};

function percent(share) {
  if (share > 0 && share < 0.01) return "<\u00a01\u00a0%";
  return share > 0.99 && share < 1 ? ">\u00a099\u00a0%" : `${Math.round(100 * share)}\u00a0%`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function makeCard(name, url) {
  const card = one("#card").content.firstElementChild.cloneNode(true);
  const image = one(".photo img", card);
  image.addEventListener("error", () => card.classList.add("unshown"));
  image.src = url;
  nameCard(card, name, "");
  return card;
}

function nameCard(card, name, products) {
  one("h3", card).textContent = name;
  one("h3", card).title = name;
  one(".products", card).textContent = products;
  one(".products", card).hidden = !products;
  one(".remove", card).setAttribute("aria-label", `Remove ${name}`);
  one(".photo", card).setAttribute("aria-label", `Photo of ${name}`);
  one(".counted .name", card).textContent = ` ${name}`;
}

function showWaiting(card) {
  one(".waiting", card).hidden = false;
  one(".problem", card).hidden = true;
}

function showAnswer(card, answer) {
  one(".waiting", card).hidden = true;
  one(".problem", card).hidden = true;
  for (const part of card.querySelectorAll(".answer")) part.hidden = false;
  one(".number", card).textContent = answer.label;
  one(".unit", card).textContent = answer.label === "1" ? "item" : "items";
  one(".percent", card).textContent = `${percent(answer.confidence)} sure`;
  one(".meter", card).setAttribute("aria-valuenow", Math.round(100 * answer.confidence));
  one(".meter span", card).style.width = `${100 * answer.confidence}%`;
  one("tbody", card).replaceChildren(...Object.entries(answer.probabilities).map(([label, share]) => shareRow(label, share, answer)));
  showVerdict(card, answer);
}

// What the answer says of its record; with the products that the record names, where they tell something.
function showVerdict(card, answer, together = null) {
  const verdict = one(".verdict", card);
  verdict.hidden = !answer.verdict;
  if (answer.verdict) {
    const say = VERDICTS[answer.verdict] ?? (() => [capital(answer.verdict), ""]);
    const [title, ofPhoto] = say(answer, percent(1 - answer.mismatch_probability));
    const text = together ? `Photo and products together say ${together.label} (${percent(together.confidence)} sure).` : ofPhoto;
    const strong = document.createElement("strong");
    strong.textContent = title;
    verdict.className = `verdict ${answer.verdict.replaceAll(" ", "-")}`;
    verdict.replaceChildren(strong, text);
  }
}

function shareRow(label, share, answer) {
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
  one(".waiting", card).hidden = true;
  for (const part of card.querySelectorAll(".answer, .verdict, .record")) part.hidden = true;
  one(".problem", card).hidden = false;
  one(".problem span", card).textContent = message;
}

// The place on the list: rank and P(record wrong); null for a bin that has none.
function showRank(card, row) {
  const ranked = row.rank !== null;
  one(".rank", card).hidden = !ranked;
  one(".rank", card).textContent = ranked ? `${row.rank}.` : "";
  one(".doubt", card).hidden = !ranked;
  one(".doubt", card).textContent = ranked ? `Record ${row.expected_quantity} · ${percent(row.wrong_probability)} likely wrong` : "";
}
