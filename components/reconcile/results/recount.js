// Keeps the counts that are entered on this page in the browser, by place on the page; every list has a key of its own.

const key = `counts ${one("#list").dataset.key}`;
let counts = {};

function inBrowser(work) {
  try {
    work();
  } catch { // a browser that keeps nothing for this page, or whose room is used up
    one("#unkept").hidden = false;
  }
}

inBrowser(() => { counts = JSON.parse(localStorage.getItem(key) ?? "{}"); });
for (const card of cards()) setCount(card, counts[rowOf(card).position] ?? "");
startWorklist({
  onCount(card) {
    counts[rowOf(card).position] = boxOf(card).value;
    inBrowser(() => localStorage.setItem(key, JSON.stringify(counts)));
  },
  onAnew() {
    counts = {};
    inBrowser(() => localStorage.removeItem(key));
    for (const card of cards()) setCount(card, "");
    arrange();
  },
});
