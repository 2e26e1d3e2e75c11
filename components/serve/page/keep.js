// Keeps what a person brought and entered in this browser (IndexedDB), so that a reload loses nothing. Keys are arrays
// such as ["photo", 7] and ["stock"]. Where the browser keeps nothing, the page works on and says so.

const STORE = "kept";

const opened = new Promise((done, failed) => {
  const request = indexedDB.open(`bin-counter ${base.pathname}`, 1);
  request.addEventListener("upgradeneeded", () => request.result.createObjectStore(STORE));
  request.addEventListener("success", () => done(request.result));
  request.addEventListener("error", () => failed(request.error));
});
opened.catch(() => {}); // whoever keeps something hears of it

async function changed(change) {
  try {
    const transaction = (await opened).transaction(STORE, "readwrite");
    const done = new Promise((resolve, reject) => {
      transaction.addEventListener("complete", resolve);
      transaction.addEventListener("abort", () => reject(transaction.error));
    });
    change(transaction.objectStore(STORE));
    await done;
  } catch {
    one("#unkept").hidden = false;
  }
}

const keep = (key, value) => changed((store) => store.put(value, key));
const forget = (...keys) => changed((store) => keys.forEach((key) => store.delete(key)));
const forgetAll = () => changed((store) => store.clear());

// All that is kept: [key, value] by key.
async function allKept() {
  try {
    const store = (await opened).transaction(STORE).objectStore(STORE);
    const [keys, values] = await Promise.all([store.getAllKeys(), store.getAll()].map((request) =>
      new Promise((done, failed) => {
        request.addEventListener("success", () => done(request.result));
        request.addEventListener("error", () => failed(request.error));
      })));
    return keys.map((key, place) => [key, values[place]]);
  } catch {
    one("#unkept").hidden = false;
    return [];
  }
}
