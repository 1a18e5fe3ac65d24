"use strict";
// Every text that comes from a device or from the cloud is put in with textContent, never as HTML.

const POLL_MS = 300;
const REPLAY_MS = 400;
const KEPT_ITEMS = 2000;
const SHOWN_PACKETS = 300;
const SHOWN_DEVICES = 30;
const SHOWN_ROWS = 200;
const NEAR_END_PIXELS = 40;
const NOT_DETAILS = new Set(["number", "connection", "packet", "event", "by", "reason_codes"]);

let steps = {claim: {}, own: {}, titles: {}};
let items = [];            // what happened, the oldest first
let base = emptyState();   // what the items that were dropped came to
let state = emptyState();  // what is shown
let cursor = 0;            // how many of the items are shown
let run = "";
let isLive = true;
let isRunning = true;
let replay = null;

const at = id => document.getElementById(id);

function element(tag, className, text, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

// --- what the items come to --------------------------------------------------------------

function emptyState() {
  return {devices: new Map(), rows: new Map()};
}

function copyOf(one) {
  return {devices: new Map(one.devices), rows: new Map(one.rows)};
}

function fold(into, item) {
  if (item.registry) {
    const row = item.registry;
    replaceLatest(into.rows, `${row.kind} ${row.place} ${row.name}`, row, SHOWN_ROWS);
  }
  if (item.mark) {
    const before = into.devices.get(item.mark.device);
    const hasClaim = item.mark.has_claim || (before !== undefined && before.has_claim);
    replaceLatest(into.devices, item.mark.device, {...item.mark, has_claim: hasClaim}, SHOWN_DEVICES);
  }
}

function replaceLatest(map, key, value, most) {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value);
}

// --- devices -----------------------------------------------------------------------------

function showDevices() {
  at("devices").replaceChildren(...[...state.devices.values()].reverse().map(deviceCard));
}

function deviceCard(mark) {
  const ladder = Object.entries(mark.has_claim ? steps.claim : steps.own);
  const present = ladder.findIndex(([step]) => step === mark.step);
  const list = element("ol");
  ladder.forEach(([step, words], place) => {
    const how = place < present ? "done" : place === present ? mark.state : "";
    const line = element("li", how, words);
    line.dataset.step = step;
    if (how === "doing") line.setAttribute("aria-current", "step");
    list.append(line);
    if (how === "failed") line.append(whyOf(mark));
  });
  const badge = {done: "provisioned", doing: "at work", failed: mark.code}[mark.state];
  const head = element("header", "", null, element("h3", "", mark.device || "(no client id)"),
    element("span", `badge ${mark.state}`, badge));
  const card = element("article", "device", null, head, list);
  card.dataset.device = mark.device;
  return card;
}

function whyOf(mark) {
  const title = element("p", "", null, element("b", "", mark.code), ` ${steps.titles[mark.code] || ""}`);
  const page = element("p", "", "What to do: ", element("code", "", `device explain ${mark.code}`));
  return element("div", "why", null, title, element("p", "", shortIds(mark.why || "")), page);
}

// --- packets -----------------------------------------------------------------------------

let lastPacket = null;  // a packet that repeats is counted, not listed again
let lastConnection = null;  // packets of several connections come in turn, and a flood drops how one began

function showPacket(item) {
  const event = item.event;
  const key = JSON.stringify([event.connection, event.packet, event.by, event.topics, event.reason]);
  const last = at("wire").lastElementChild;
  if (event.packet && lastPacket === key && last) {
    const times = last.querySelector(".times");
    times.dataset.times = Number(times.dataset.times || 1) + 1;
    times.textContent = `× ${times.dataset.times}`;
    return;
  }
  lastPacket = key;
  const begins = event.event === "opened";
  if (!begins && event.connection !== lastConnection) at("wire").append(againLine(event));
  lastConnection = event.connection;
  at("wire").append(begins ? connectionLine(event) : packetLine(item));
  while (at("wire").children.length > SHOWN_PACKETS) at("wire").firstElementChild.remove();
}

function connectionLine(event) {
  const certificate = event.certificate_id ? `certificate ${event.certificate_id.slice(0, 12)}` : "no certificate";
  return element("div", "connection", `connection ${event.connection}: ${event.tls} to ${event.server_name}, ${certificate}`);
}

function againLine(event) {
  return element("div", "connection", `connection ${event.connection}`);
}

function packetLine(item) {
  const event = item.event;
  const fromDevice = event.by === "device";
  const arrow = element("span", "arrow", fromDevice ? "→" : "←");
  arrow.setAttribute("aria-label", fromDevice ? "from the device" : "from the cloud");
  const line = element("summary", "", null, arrow, element("span", "name", event.packet || event.event),
    element("span", "about", aboutOf(event)), element("span", "times"),
    element("span", "ms", `${event.ms.toFixed(1)} ms`));
  const kind = `packet ${fromDevice ? "device" : "cloud"}${item.is_refusal ? " refusal" : ""}`;
  const made = element("details", kind, null, line);
  made.dataset.number = item.number;
  made.addEventListener("toggle", () => made.children.length > 1 || made.append(detailsOf(event)));
  return made;
}

function aboutOf(event) {
  const topics = event.topics || [];
  const codes = (event.reason_codes || []).filter(code => code >= 0x80).map(hex);
  const words = [event.client_id && `as ${event.client_id}`,
    topics.length > 1 ? `${topics.length} topics` : topics[0], ...codes, event.reason,
    event.event === "closed" && `connection ${event.connection}`];
  return shortIds(words.filter(Boolean).join(" · "));
}

function shortIds(text) {
  return text.replace(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, "$1");
}

function hex(code) {
  return `0x${code.toString(16).toUpperCase().padStart(2, "0")}`;
}

function detailsOf(event) {
  const list = element("dl");
  for (const [name, value] of Object.entries(event)) {
    if (NOT_DETAILS.has(name) || value === null) continue;
    list.append(element("dt", "", name.replaceAll("_", " ")),
      element("dd", "mono", Array.isArray(value) ? value.join("\n") : value));
  }
  if (event.reason_codes) {
    list.append(element("dt", "", "reason codes"),
      element("dd", "mono", event.reason_codes.map(hex).join(" ")));
  }
  return list;
}

// --- registry ----------------------------------------------------------------------------

function showRegistry(changed) {
  const rows = [...state.rows.values()].reverse();
  const regional = rows.filter(row => row.place.includes(" "));  // a role is of no Region
  const hasPlaces = new Set(regional.map(row => row.place)).size > 1;
  at("registry").replaceChildren(...rows.map(row => registryRow(row, hasPlaces, changed.has(row))));
}

function registryRow(row, hasPlaces, isNew) {
  const kind = hasPlaces && row.place ? `${row.kind}, ${row.place}` : row.kind;
  const words = row.words.map(word => element("span", `word ${toneOf(word)}`, word));
  const line = element("div", `row${row.is_gone ? " gone" : ""}${isNew ? " new" : ""}`, null,
    element("span", "kind", kind), element("span", "name", row.name), element("div", "", null, ...words));
  line.dataset.kind = row.kind;
  line.dataset.name = row.name;
  return line;
}

function toneOf(word) {
  if (word === "ACTIVE") return "good";
  return ["INACTIVE", "REVOKED", "PENDING_ACTIVATION", "not enabled"].includes(word) ? "bad" : "";
}

// --- forward and back --------------------------------------------------------------------

function forward(upTo) {
  const changed = new Set();
  const wire = at("wire");
  const isAtEnd = wire.scrollHeight - wire.scrollTop - wire.clientHeight < NEAR_END_PIXELS;
  for (; cursor < Math.min(upTo, items.length); cursor += 1) {
    const item = items[cursor];
    fold(state, item);
    if (item.event) showPacket(item);
    if (item.registry) changed.add(item.registry);
  }
  showDevices();
  showRegistry(changed);
  showControls();
  if (isAtEnd) wire.scrollTop = wire.scrollHeight;  // else a person reads further up
}

function goTo(place) {
  state = copyOf(base);
  cursor = 0;
  lastConnection = null;
  lastPacket = null;
  at("wire").replaceChildren();
  forward(Math.max(place, 0));
}

function pause() {
  isLive = false;
  clearInterval(replay);
  replay = null;
}

function startReplay() {
  pause();
  goTo(0);
  replay = setInterval(() => {
    forward(cursor + 1);
    if (cursor >= items.length) pause();
    showControls();
  }, REPLAY_MS);
  showControls();
}

function live() {
  pause();
  isLive = true;
  forward(items.length);
}

function showControls() {
  const word = !isRunning ? "the local AWS has stopped" : replay ? "replay" : isLive ? "live" : "paused";
  at("status").textContent = word;
  at("status").className = !isRunning ? "stopped" : isLive ? "live" : "";
  at("pause").textContent = isLive ? "Pause" : "Go live";
  at("pause").setAttribute("aria-pressed", String(!isLive));
  at("back").disabled = cursor === 0;
  at("step").disabled = cursor >= items.length;
  at("replay").disabled = items.length === 0;
  at("position").textContent = `${cursor} of ${items.length}`;
  at("nothing").hidden = items.length > 0;
}

// --- what comes from the server ----------------------------------------------------------

function take(answer) {
  isRunning = answer.is_running;
  if (answer.run !== run) {
    run = answer.run;
    items = [];
    base = emptyState();
    goTo(0);
  }
  items.push(...answer.items);
  for (const dropped of items.splice(0, Math.max(0, items.length - KEPT_ITEMS))) {
    fold(base, dropped);
    if (cursor > 0) cursor -= 1;
    else fold(state, dropped);
  }
  if (isLive) { if (answer.items.length) forward(items.length); }
  showControls();
}

async function poll() {
  let hasMore = false;
  try {
    const after = items.length ? items[items.length - 1].number : 0;
    const asked = await fetch(`items?after=${after}&run=${encodeURIComponent(run)}`);
    const answer = await asked.json();
    hasMore = answer.has_more;
    take(answer);
  } catch (error) {
    isRunning = false;
    showControls();
    at("status").textContent = "localcloud watch has ended";
  }
  setTimeout(poll, hasMore ? 0 : POLL_MS);
}

async function begin() {
  at("pause").addEventListener("click", () => { isLive ? pause() : live(); showControls(); });
  at("step").addEventListener("click", () => { pause(); forward(cursor + 1); });
  at("back").addEventListener("click", () => { pause(); goTo(cursor - 1); });
  at("replay").addEventListener("click", startReplay);
  document.addEventListener("keydown", event => {
    if (event.key === "ArrowRight") at("step").click();
    if (event.key === "ArrowLeft") at("back").click();
  });
  steps = await (await fetch("steps")).json();
  poll();
}

begin();
