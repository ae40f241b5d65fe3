// Passkeys on the pages that ask for one. A form says with `data-passkey` what
// it wants: `create` a passkey, `confirm` with one, `sign-in`, or `approve` a
// request. The browser's answer goes into its field `passkey`, and the form is
// posted like any other. Without this script the page says what is possible.
const words = document.querySelector('script[src="/passkeys.js"]').dataset;

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
const digest = (value) => crypto.subtle.digest("SHA-256", new TextEncoder().encode(value));

class Refusal extends Error {
  constructor(sentence, word) {
    super(sentence);
    this.word = word;
  }
}

async function options(path, fields) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", body: new URLSearchParams(fields) });
  } catch {
    throw new Refusal(words.away);
  }
  let body = {};
  try { body = await answer.json(); } catch { /* No sentence of ours. */ }
  if (!answer.ok) throw new Refusal(body.sentence ?? words.away, body.error);
  return body;
}

const credentials = (all) => all.map((one) => ({ ...one, id: bytes(one.id) }));

async function get(asked, challenge = bytes(asked.challenge)) {
  const { rawId, response } = await navigator.credentials.get({
    publicKey: { ...asked, challenge, allowCredentials: credentials(asked.allowCredentials) },
  });
  return JSON.stringify({
    id: text(rawId),
    clientDataJSON: text(response.clientDataJSON),
    authenticatorData: text(response.authenticatorData),
    signature: text(response.signature),
    ...(response.userHandle ? { userHandle: text(response.userHandle) } : {}),
  });
}

async function create(asked) {
  const { response } = await navigator.credentials.create({
    publicKey: {
      ...asked,
      challenge: bytes(asked.challenge),
      user: { ...asked.user, id: bytes(asked.user.id) },
      excludeCredentials: credentials(asked.excludeCredentials),
    },
  });
  return JSON.stringify({
    clientDataJSON: text(response.clientDataJSON),
    attestationObject: text(response.attestationObject),
    transports: response.getTransports?.() ?? [],
  });
}

const confirm = async () => get(await options("/devices/confirm/options", {}));

const ways = {
  async create(form) {
    const code = form.elements.recovery_code?.value.trim();
    let proof = {};
    if (code) proof = { recovery_code: code };
    else if (form.dataset.confirm) proof = { passkey: await confirm() };
    return create(await options("/devices/options", proof));
  },
  confirm,
  "sign-in": async () => get(await options("/sign-in/passkey/options", {})),
  // What is signed is computed here, from what stands on this page.
  async approve(form) {
    const { decision, shown } = form.dataset;
    const [signed, read] = [JSON.parse(decision), JSON.parse(shown)];
    const page = document.querySelector("main");
    const values = [...page.querySelectorAll("dd")].map((value) => value.textContent);
    const same =
      signed.decision === "approve" &&
      signed.text_digest === text(await digest(shown)) &&
      location.pathname === `/approve/${signed.approval}` &&
      page.querySelector("h1").textContent === read.title &&
      read.fields.every((field) => values.includes(field.value)) &&
      (page.querySelector(".binding code")?.textContent ?? null) === signed.binding_message;
    if (!same) throw new Refusal(words.changed);
    return get(JSON.parse(form.dataset.options), await digest(decision));
  },
};

function said(error) {
  if (error instanceof Refusal) return error.message;
  if (error?.name === "InvalidStateError") return words.known;
  return error?.name === "NotAllowedError" || error?.name === "AbortError" ? words.cancelled : words.unable;
}

async function carry(form, button) {
  const says = form.querySelector("[data-says]");
  const again = form.querySelector("[data-sign-in-again]");
  says.hidden = true;
  if (again) again.hidden = true;
  button.disabled = true;
  try {
    form.elements.passkey.value = await ways[form.dataset.passkey](form);
    if (button.name) {
      const chosen = document.createElement("input");
      Object.assign(chosen, { type: "hidden", name: button.name, value: button.value });
      form.append(chosen);
    }
    form.submit();
  } catch (error) {
    says.textContent = said(error);
    says.hidden = false;
    if (again) again.hidden = error.word !== "sign-in-again";
    button.disabled = false;
  }
}

if (window.PublicKeyCredential && crypto.subtle) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const button = form.querySelector("[data-wakes]");
    if (!button) continue;
    button.disabled = false;
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      if ((event.submitter ?? button) !== button) return;
      event.preventDefault();
      carry(form, button);
    });
  }
} else {
  for (const says of document.querySelectorAll("form[data-passkey] [data-says]")) {
    says.textContent = words.unable;
    says.hidden = false;
  }
}
