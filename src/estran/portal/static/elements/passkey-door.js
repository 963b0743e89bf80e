/* <passkey-door>: asks the device for a passkey, new or known, and sends its answer. The portal checks everything. */

function bytes(text) {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function asked(options) {
  options.challenge = bytes(options.challenge);
  if (options.user) options.user.id = bytes(options.user.id);
  for (const list of [options.excludeCredentials, options.allowCredentials]) {
    for (const known of list || []) known.id = bytes(known.id);
  }
  return { publicKey: options };
}

function answered(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  return JSON.stringify({
    id: credential.id, rawId: text(credential.rawId), type: credential.type, response, clientExtensionResults: {},
  });
}

class PasskeyDoor extends HTMLElement {
  connectedCallback() {
    if (!window.PublicKeyCredential) return;
    this.hidden = false;
    this.querySelector("button").addEventListener("click", () => this.open());
  }

  async post(address, body) {
    const headers = { "X-CSRF-Token": this.dataset.csrf, "Content-Type": "application/json" };
    const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin" });
    if (answer.redirected) window.location.assign(answer.url);
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  async open() {
    const said = this.querySelector("[role=status]");
    said.textContent = "";
    try {
      const options = asked(await this.post(this.dataset.begin, {}));
      const made = this.hasAttribute("data-new");
      const credential = await (made ? navigator.credentials.create(options) : navigator.credentials.get(options));
      const name = this.querySelector("input");
      const body = { answer: answered(credential), back: this.dataset.back || "/", name: name ? name.value : "" };
      window.location.assign((await this.post(this.dataset.end, body)).go);
    } catch {
      said.textContent = this.dataset.failed;
    }
  }
}

customElements.define("passkey-door", PasskeyDoor);
