// The worker of the installed app: says so when there is no connection, shows
// what waits for a decision, and takes it back once it is decided. It decides
// nothing but Deny, and keeps no page of anybody's.
const CACHE = "attorn-shell-1";
const SHELL = ["/pkg/app.css", "/favicon.svg"];

addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => skipWaiting()),
  );
});

addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => clients.claim()),
  );
});

const offline = () =>
  new Response(
    `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Offline · Attorn</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/pkg/app.css">
</head>
<body>
<div class="alone">
<main id="content"><div class="sheet"><div>
<h1>You are offline</h1>
<p class="muted">Attorn cannot be reached from here. Nothing was decided and nothing was lost.
What waits for you waits on; load this page again once you are connected.</p>
</div></div></main>
</div>
</body>
</html>`,
    { status: 503, headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" } },
  );

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate" && request.method === "GET") {
    event.respondWith(fetch(request).catch(offline));
  } else if (SHELL.includes(new URL(request.url).pathname)) {
    event.respondWith(fetch(request).catch(() => caches.match(request)));
  }
});

const icons = { icon: "/icon-192.png", badge: "/icon-192.png" };

addEventListener("push", (event) => {
  event.waitUntil(shown(event.data?.json()));
});

async function shown(notice) {
  if (!notice) return;
  const tag = notice.approval ?? notice.kind;
  const data = { ...notice, url: notice.url ?? `/approve/${encodeURIComponent(notice.approval)}` };
  if (notice.kind === "device") {
    await registration.showNotification(notice.title, { ...icons, tag, data, body: notice.body, requireInteraction: true });
  } else if (notice.kind === "asked") {
    // A late one is of no use; but a push must show something, so it is short.
    const late = notice.expires_at <= Date.now();
    const actions = late ? [] : [{ action: "open", title: notice.open }, { action: "deny", title: notice.deny }];
    await registration.showNotification(notice.title, {
      ...icons, tag, data, actions, body: notice.body, renotify: true, requireInteraction: !late,
    });
  } else {
    await registration.showNotification(notice.title, { ...icons, tag, data, body: notice.body, silent: true });
  }
}

addEventListener("notificationclick", (event) => {
  const { notification, action } = event;
  notification.close();
  event.waitUntil(action === "deny" ? denied(notification.data) : opened(notification.data.url));
});

async function opened(url) {
  const all = await clients.matchAll({ type: "window" });
  const there = all.find((client) => new URL(client.url).pathname === url);
  return there ? there.focus() : clients.openWindow(url);
}

// With the session of this browser; without one, the page asks for it.
async function denied(notice) {
  try {
    const answer = await fetch(notice.url, { method: "POST", body: new URLSearchParams({ decision: "deny" }) });
    if (answer.ok && new URL(answer.url).pathname === notice.url) {
      return registration.showNotification(notice.denied, {
        ...icons, tag: notice.approval, data: notice, body: notice.body, silent: true,
      });
    }
  } catch { /* No connection: the page says so. */ }
  return opened(notice.url);
}
