// Turns notices on in this browser: asks for permission, subscribes with its
// push service, and posts the subscription in the form `data-push`.
const form = document.querySelector("form[data-push]");
/** How long a push service may take: some browsers never answer without one. */
const PATIENCE = 20000;

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

const within = (promise) =>
  Promise.race([promise, new Promise((_, late) => setTimeout(() => late(new Error("late")), PATIENCE))]);

async function subscription() {
  const { pushManager } = await within(navigator.serviceWorker.ready);
  const options = { userVisibleOnly: true, applicationServerKey: bytes(form.dataset.push) };
  const old = await pushManager.getSubscription();
  const key = old?.options?.applicationServerKey;
  if (old && (!key || text(key) !== form.dataset.push)) await old.unsubscribe();
  return within(pushManager.subscribe(options));
}

async function turnOn() {
  const says = form.querySelector("[data-says]");
  const button = form.querySelector("[data-wakes]");
  says.hidden = true;
  button.disabled = true;
  try {
    if ((await Notification.requestPermission()) !== "granted") throw new Error("refused");
    const made = await subscription();
    form.elements.endpoint.value = made.endpoint;
    form.elements.p256dh.value = text(made.getKey("p256dh"));
    form.elements.auth.value = text(made.getKey("auth"));
    form.submit();
  } catch (error) {
    says.textContent = error.message === "refused" ? form.dataset.refused : form.dataset.failed;
    says.hidden = false;
    button.disabled = false;
  }
}

if (form) {
  if ("serviceWorker" in navigator && "PushManager" in window && "Notification" in window) {
    form.querySelector("[data-wakes]").disabled = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      turnOn();
    });
  } else {
    const says = form.querySelector("[data-says]");
    says.textContent = form.dataset.unable;
    says.hidden = false;
  }
}
