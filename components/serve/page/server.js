// Asks the model server that this page came from: again when it is busy, and with a reason when it refuses.

const TRIES = 6;

// a gateway may serve the page under a path, with or without a slash at its end
const base = new URL(location.origin + location.pathname.replace(/\/?$/, "/"));
const { predict: PREDICT, version: VERSION } = document.body.dataset;

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// The answer for one photo.
async function predict(file, expected) {
  const query = expected === "" ? "" : `?expected_quantity=${encodeURIComponent(expected)}`;
  const content = await post(PREDICT + query, file, file.type || "application/octet-stream");
  return content.predictions[0];
}

// A stock list's records, each with the place of its photo among the names.
async function readStock(file, photos) {
  return post("stock/read", JSON.stringify({ name: file.name.slice(0, 200), table: await base64(file), photos }));
}

// The rank of each of these bins, its verdict for what a missed error costs, and how many records are wrong. What the
// record names speaks with the photo, where the model has learnt what products tell.
async function rankRecords(answered, missedCost) {
  const bins = answered.map(({ answer, record }) => (
    { expected_quantity: answer.expected_quantity, probabilities: answer.probabilities, record: record.record }));
  return post("stock/rank", JSON.stringify({ bins, missed_cost: missedCost }));
}

async function post(path, body, type = "application/json") {
  for (let attempt = 1; ; attempt += 1) {
    let response;
    try {
      response = await fetch(new URL(path, base), { method: "POST", body, headers: { "content-type": type } });
    } catch {
      if (attempt === TRIES) throw new Error("The server cannot be reached.");
      await pause(0.3 * 2 ** attempt);
      continue;
    }
    const content = await response.json().catch(() => null);
    if (response.ok && content) return content;
    if ([429, 503].includes(response.status) && attempt < TRIES) {
      await pause(Number(response.headers.get("retry-after")) || 1);
      continue;
    }
    const reason = content?.error ?? `The server answered ${response.status}.`;
    throw new Error(reason[0].toUpperCase() + reason.slice(1));
  }
}

function base64(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result.split(",")[1] ?? ""));
    reader.addEventListener("error", () => failed(new Error(`${file.name} cannot be read.`)));
    reader.readAsDataURL(file);
  });
}
