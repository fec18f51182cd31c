// Being a Nostr client: keys, signatures, and one relay.

import { sha256 } from "./vendor/hashes/sha2.js";
import { etc, hashes, schnorr, utils } from "./vendor/secp256k1.js";

// Browsers hash only on pages that came by https or from this machine.
hashes.sha256 = sha256;

const { bytesToHex, hexToBytes } = etc;
const MOST_BYTES = 2_000_000;

/** A key that is thrown away with the page. */
export function throwAwayKey() {
  const secret = utils.randomSecretKey();
  const pubkey = bytesToHex(schnorr.getPublicKey(secret));
  return {
    getPublicKey: async () => pubkey,
    signEvent: async (template) => {
      const event = { ...template, pubkey };
      event.id = eventId(event);
      event.sig = bytesToHex(schnorr.sign(hexToBytes(event.id), secret));
      return event;
    },
  };
}

/** The id that an event ought to have (NIP-01). */
export function eventId({ pubkey, created_at, kind, tags, content }) {
  const text = JSON.stringify([0, pubkey, created_at, kind, tags, content]);
  return bytesToHex(sha256(new TextEncoder().encode(text)));
}

const isHex = (text, length) => typeof text === "string" && text.length === length && /^[0-9a-f]*$/.test(text);

/** Says whether this is an event whose id and signature are right. */
export function isValid(event) {
  try {
    return isHex(event.id, 64) && isHex(event.pubkey, 64) && isHex(event.sig, 128)
      && Number.isSafeInteger(event.created_at) && Number.isInteger(event.kind)
      && typeof event.content === "string" && Array.isArray(event.tags)
      && event.tags.every((tag) => Array.isArray(tag) && tag.every((value) => typeof value === "string"))
      && event.id === eventId(event)
      && schnorr.verify(hexToBytes(event.sig), hexToBytes(event.id), hexToBytes(event.pubkey));
  } catch {
    return false;
  }
}

/** The first value of an event's first tag of a name. */
export const tagValue = (event, name) => event.tags.find((tag) => tag[0] === name)?.[1] ?? null;

/**
 * A connection to a relay. `heard` is called with each message as an array, `closed` once, when
 * the connection ends or cannot be made.
 */
export function connect(url, { opened, heard, closed }) {
  let socket;
  try {
    socket = new WebSocket(url);
  } catch {
    setTimeout(closed, 0);
    return { send: () => {}, close: () => {} };
  }
  socket.addEventListener("open", () => opened());
  socket.addEventListener("message", ({ data }) => {
    if (typeof data !== "string" || data.length > MOST_BYTES) return;
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (Array.isArray(message)) heard(message);
  });
  socket.addEventListener("close", () => closed());
  return {
    send: (...message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message)),
    close: () => socket.close(),
  };
}

/** Why the relay may be out of reach, in words that help. */
export function unreachable(url) {
  const secure = location.protocol === "https:";
  const local = /^ws:\/\/(127\.|localhost|\[::1\])/.test(url);
  if (secure && url.startsWith("ws://") && !local) {
    return `Browsers do not let a page that came by https connect to ${url}. The operator has to set relay.public_url to a wss:// address.`;
  }
  return `The relay at ${url} cannot be reached.`;
}
