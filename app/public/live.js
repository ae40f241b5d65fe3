// One event stream a browser. The tab that holds the lock listens and tells
// the others through a channel; every tab turns what comes into events of its
// document: `attorn:{topic}` with the id in `detail`, and `attorn:resync`
// after a gap. Also keeps relative times current. Pages work without this.
const root = document.documentElement;
const channel = "BroadcastChannel" in window ? new BroadcastChannel("attorn-live") : null;
const page = root.dataset.person ? root : null;

function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}

function take(message) {
  if (message.person !== root.dataset.person) return;
  if (message.kind === "change") tell(`attorn:${message.topic}`, message.id);
  if (message.kind === "resync") tell("attorn:resync", null);
  if (message.kind === "state") root.dataset.live = message.state;
  if (message.kind === "signed-out") location.reload();
  if (message.kind === "who" && leading) share({ kind: "state", state: root.dataset.live });
}

function share(message) {
  const full = { ...message, person: root.dataset.person };
  take(full);
  channel?.postMessage(full);
}

let leading = false;
let leave = null;

// Holds the stream until the page goes away or the session ends.
function lead() {
  leading = true;
  let wait = 1000;
  let stream = null;
  let timer = 0;
  const open = () => {
    stream = new EventSource("/live");
    // The stream has begun, or has lost something: look at everything again.
    stream.addEventListener("hello", () => {
      wait = 1000;
      share({ kind: "state", state: "on" });
      share({ kind: "resync" });
    });
    stream.addEventListener("change", (event) => {
      let body;
      try { body = JSON.parse(event.data); } catch { return; }
      share({ kind: "change", topic: String(body.topic), id: body.id });
    });
    stream.onerror = () => {
      share({ kind: "state", state: "away" });
      // The browser itself tries again unless the answer was no stream at all.
      if (stream.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(again, wait);
      wait = Math.min(wait * 2, 30000);
    };
  };
  // No stream: either the server is away, or the session has ended.
  const again = async () => {
    try {
      const answer = await fetch("/api/approvals/count", { method: "POST" });
      if (answer.status === 401) return share({ kind: "signed-out" });
    } catch { /* The server is away. */ }
    open();
  };
  open();
  return new Promise((resolve) => {
    leave = () => {
      leading = false;
      clearTimeout(timer);
      stream.close();
      resolve();
    };
  });
}

function follow() {
  root.dataset.live = "on";
  if (!navigator.locks) {
    lead();
    return;
  }
  navigator.locks.request(`attorn-live-${root.dataset.person}`, lead);
  channel?.postMessage({ kind: "who", person: root.dataset.person });
}

if (page && "EventSource" in window) {
  if (channel) channel.onmessage = (event) => take(event.data);
  follow();
  addEventListener("pagehide", () => leave?.());
  // Back out of the page cache: ask again, and read what was missed.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    follow();
    tell("attorn:resync", null);
  });
}

// Who is on the way to another page is not pulled back. A download fires
// `beforeunload` as well and leaves the page: it is caught up with afterwards.
let leaving = false;
let stale = false;
addEventListener("beforeunload", () => {
  leaving = true;
  setTimeout(() => {
    leaving = false;
    if (stale) location.reload();
  }, 5000);
});

function loadAgain() {
  stale = true;
  if (!leaving) location.reload();
}

// A page without islands of its own that shows a list asks to be loaded again.
for (const node of document.querySelectorAll("[data-reload-on]")) {
  for (const topic of node.dataset.reloadOn.split(" ")) {
    document.addEventListener(`attorn:${topic}`, (event) => {
      const wanted = node.dataset.reloadId;
      if (!wanted || wanted === event.detail) loadAgain();
    });
  }
  // What changed between this page and the stream was not heard: compare.
  const { reloadStand } = node.dataset;
  if (reloadStand) {
    document.addEventListener("attorn:resync", async () => {
      try {
        const answer = await fetch(location.href);
        const text = answer.ok ? await answer.text() : "";
        if (text && !text.includes(`data-reload-stand="${reloadStand}"`)) loadAgain();
      } catch { /* The server is away; the stream says so. */ }
    });
  }
}

const steps = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [604800, "day", 86400]];
const relative = new Intl.RelativeTimeFormat(root.lang || "en", { numeric: "auto", style: "short" });

function said(time) {
  const at = Date.parse(time.dateTime);
  if (Number.isNaN(at)) return null;
  const seconds = Math.trunc((at - Date.now()) / 1000);
  const size = Math.abs(seconds);
  if (size < 60 && seconds <= 0) return relative.format(0, "second");
  for (const [below, unit, one] of steps) {
    if (size < below) return relative.format(Math.trunc(seconds / one), unit);
  }
  return null;
}

function refresh() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const words = said(time);
    const text = time.firstChild;
    if (words && text?.nodeType === Node.TEXT_NODE && text.data !== words) text.data = words;
  }
}

refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 15000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

// The worker of the installed app: it shows what waits when no page is open.
// What this page shows as decided needs no notice any more.
if (page && "serviceWorker" in navigator) {
  navigator.serviceWorker.register("/sw.js").catch(() => { /* Pages work without it. */ });
  const ended = document.querySelector("[data-reload-id]:has(.verdict)");
  if (ended) {
    navigator.serviceWorker.ready
      .then((worker) => worker.getNotifications({ tag: ended.dataset.reloadId }))
      .then((notices) => notices.forEach((notice) => notice.close()));
  }
}
