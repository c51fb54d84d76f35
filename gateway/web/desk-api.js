// Asking the API: an answer, or what is wrong in words.

import { t } from "./text.js";

/** `{ok, status, body, problem}`; a problem is the server's own sentence. */
export async function ask(path, body) {
  const request = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  try {
    const response = await fetch(path, request);
    const answer = await response.json().catch(() => null);
    const problem = response.ok ? "" : (answer?.detail ?? String(response.status));
    return { ok: response.ok && answer !== null, status: response.status, body: answer, problem };
  } catch {
    return { ok: false, status: 0, body: null, problem: t("noAnswer") };
  }
}

/** A key under which a move is made once, however often it is sent. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
