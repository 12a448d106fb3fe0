'use strict';
// Verifies an evidence bundle in the browser: docs/audit-log.md, step by step. No network, no library.

const TEXTS = ['VERIFY.txt', 'log-key.txt', 'receipt.jws', 'receipt.tlog-proof',
  'receipt-key.json', 'receipt-key.tlog-proof', 'deeds.json'];
const AUDIO = ['audio.wav', 'audio.mp3', 'audio.ogg', 'audio.flac', 'audio.m4a'];
const GUIDE_SHA256 = '@GUIDE_SHA256@';
const CLOCK_MS_MAX = 600000;
const utf8 = new TextEncoder();

class Refuted extends Error {
  constructor(file, place, what) {
    super(`${file}: ${place}: ${what}`);
    Object.assign(this, {file, place, what});
  }
}

function must(holds, file, place, what) { if (!holds) throw new Refuted(file, place, what); }

// ---- bytes

const hex = (raw) => Array.from(raw, (byte) => byte.toString(16).padStart(2, '0')).join('');
const same = (one, other) => one.length === other.length && one.every((byte, i) => byte === other[i]);
const bytesOf = (part) => typeof part === 'string' ? utf8.encode(part) : Uint8Array.from(part);

function joined(...parts) {
  const all = parts.map((part) => part instanceof Uint8Array ? part : bytesOf(part));
  const whole = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of all) { whole.set(part, at); at += part.length; }
  return whole;
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', joined(...parts)));
}

function toBase64(raw) {
  let text = '';
  for (const byte of raw) text += String.fromCharCode(byte);
  return btoa(text);
}

function fromBase64(text) {  // null unless canonical
  try {
    const raw = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    return toBase64(raw) === text ? raw : null;
  } catch { return null; }
}

function fromBase64url(text) {
  if (/[+/=]/.test(text)) return null;
  return fromBase64(text.replaceAll('-', '+').replaceAll('_', '/') + '='.repeat((4 - text.length % 4) % 4));
}

async function signed(publicKey, message, signature) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const key = await crypto.subtle.importKey('raw', publicKey, {name: 'Ed25519'}, false, ['verify']);
  return crypto.subtle.verify({name: 'Ed25519'}, key, signature, message);
}

function decimal(text) {
  return /^(0|[1-9][0-9]{0,15})$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null;
}

// ---- the container: every byte that is not content is built anew and compared

const CRC = Array.from({length: 256}, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ n >>> 1 : n >>> 1;
  return n >>> 0;
});

function crc32(raw) {
  let crc = 0xffffffff;
  for (let i = 0; i < raw.length; i++) crc = CRC[(crc ^ raw[i]) & 255] ^ crc >>> 8;
  return (crc ^ 0xffffffff) >>> 0;
}

function packed(...numbers) {  // [value, bytes] pairs, little-endian
  const out = [];
  for (const [value, size] of numbers) {
    for (let i = 0; i < size; i++) out.push(Math.floor(value / 2 ** (8 * i)) % 256);
  }
  return Uint8Array.from(out);
}

function localHeader({name, crc, size, streamed}) {
  const sizes = streamed ? [0, 0, 0] : [crc, size, size];
  return joined([0x50, 0x4b, 3, 4], packed([20, 2], [streamed ? 8 : 0, 2], [0, 2], [0, 2], [0x21, 2],
    [sizes[0], 4], [sizes[1], 4], [sizes[2], 4], [name.length, 2], [0, 2]), name);
}

function descriptor({crc, size, streamed}) {
  return streamed ? joined([0x50, 0x4b, 7, 8], packed([crc, 4], [size, 4], [size, 4])) : new Uint8Array();
}

function centralHeader({name, crc, size, offset, streamed}) {
  return joined([0x50, 0x4b, 1, 2], packed([20, 2], [20, 2], [streamed ? 8 : 0, 2], [0, 2], [0, 2], [0x21, 2],
    [crc, 4], [size, 4], [size, 4], [name.length, 2], [0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), name);
}

function endOf(entries, length, offset) {
  return joined([0x50, 0x4b, 5, 6], packed([0, 2], [0, 2], [entries.length, 2], [entries.length, 2],
    [length, 4], [offset, 4], [0, 2]));
}

function expect(raw, at, expected) {
  const given = raw.subarray(at, at + expected.length);
  let differs = 0;
  while (differs < expected.length && given[differs] === expected[differs]) differs++;
  must(differs === expected.length, 'bundle', `byte ${at + differs}`, 'not what the format says');
}

function directoryOf(raw) {
  must(raw.length >= 22, 'bundle', 'whole', 'not a ZIP file');
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length), end = raw.length - 22;
  const length = view.getUint32(end + 12, true), offset = view.getUint32(end + 16, true);
  must(offset + length === end && length <= 4096, 'bundle', `byte ${end}`, 'not the end of a bundle');
  const entries = [];
  for (let at = offset; at < end;) {
    must(at + 46 <= end && at + 46 + view.getUint16(at + 28, true) <= end,
      'bundle', `byte ${at}`, 'not a bundle\'s directory');
    const nameLength = view.getUint16(at + 28, true);
    const name = String.fromCharCode(...raw.subarray(at + 46, at + 46 + nameLength));
    entries.push({name, crc: view.getUint32(at + 16, true), size: view.getUint32(at + 20, true),
      offset: view.getUint32(at + 42, true), streamed: view.getUint16(at + 8, true) === 8});
    at += 46 + nameLength;
  }
  return {entries, offset};
}

function unpacked(raw) {
  const {entries, offset} = directoryOf(raw);
  const names = entries.map((entry) => entry.name);
  for (const name of TEXTS) {
    must(names.filter((each) => each === name).length === 1, name, 'whole', 'missing, or there twice');
  }
  must(names.length === TEXTS.length + 1 && TEXTS.every((name, i) => names[i] === name) && AUDIO.includes(names.at(-1)),
    'bundle', 'directory', 'other files, or in another order, than the format\'s');
  const files = {};
  let at = 0;
  for (const entry of entries) {
    must(entry.offset === at && entry.streamed === (entry === entries.at(-1)),
      'bundle', entry.name, 'lies elsewhere than the format says');
    expect(raw, at, localHeader(entry));
    at += 30 + entry.name.length;
    must(at + entry.size <= offset, 'bundle', entry.name, 'lies elsewhere than the format says');
    files[entry.name] = raw.subarray(at, at + entry.size);
    must(crc32(files[entry.name]) === entry.crc, entry.name, 'whole', 'damaged: not the content that was packed');
    at += entry.size;
    expect(raw, at, descriptor(entry));
    at += descriptor(entry).length;
  }
  must(at === offset, 'bundle', `byte ${at}`, 'bytes that belong to no file');
  const directory = joined(...entries.map(centralHeader));
  expect(raw, offset, joined(directory, endOf(entries, directory.length, offset)));
  return files;
}

function text(files, name) {
  try {
    // ignoreBOM: a mark at the beginning is a change like any other.
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(files[name]);
  } catch { throw new Refuted(name, 'whole', 'not text'); }
}

// ---- notes, checkpoints, proofs

async function parseKey(line, kind, file) {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+(.+)$/.exec(line);
  const raw = match && fromBase64(match[3]);
  must(raw && raw[0] === kind && raw.length === 33, file, 'whole', 'not a verifier key');
  const id = (await sha256(match[1], '\n', raw)).subarray(0, 4);
  must(hex(id) === match[2], file, 'whole', 'the verifier key\'s id is another');
  return {name: match[1], id, publicKey: raw.subarray(1), line};
}

async function openCheckpoint(note, key, file) {
  const bad = (holds, what) => must(holds, file, 'checkpoint', what);
  const cut = note.lastIndexOf('\n\n');
  bad(cut > 0 && note.endsWith('\n') && !/[\x00-\x09\x0b-\x1f]/.test(note), 'not a signed note');
  const body = note.slice(0, cut + 1), lines = note.slice(cut + 2, -1).split('\n');
  const signatures = lines.map((line) => {
    const match = /^— ([^\s+]+) (\S+)$/.exec(line);
    const raw = match && fromBase64(match[2]);
    bad(raw && raw.length > 4, 'not a signature line');
    return {name: match[1], id: raw.subarray(0, 4), signature: raw.subarray(4)};
  });
  bad(lines.length <= 32, 'the note has too many signatures');
  bad(new Set(lines).size === lines.length, 'a signature stands there twice');
  const ours = signatures.filter((each) => each.name === key.name && same(each.id, key.id));
  bad(ours.length > 0, 'the key did not sign the note');
  for (const each of ours) bad(await signed(key.publicKey, utf8.encode(body), each.signature), 'the signature is wrong');
  const [origin, size, root, ...further] = body.slice(0, -1).split('\n');
  bad(origin === key.name, 'the checkpoint is another log\'s');
  bad(decimal(size ?? '') !== null && fromBase64(root ?? '')?.length === 32 && further.every(Boolean), 'not a checkpoint');
  const others = signatures.filter((each) => !ours.includes(each));
  return {origin, size: decimal(size), root: fromBase64(root), body, others};
}

function parseProof(content, file) {
  const bad = (holds, what) => must(holds, file, 'whole', what);
  const cut = content.indexOf('\n\n');
  const [head, extra, index, ...steps] = content.slice(0, Math.max(cut, 0)).split('\n');
  bad(cut > 0 && head === 'c2sp.org/tlog-proof@v1' && extra?.startsWith('extra ') && index?.startsWith('index '), 'not a proof');
  const raw = fromBase64(extra.slice(6)), hashes = steps.map(fromBase64);
  bad(raw && decimal(index.slice(6)) !== null && hashes.length <= 64, 'not a proof');
  bad(hashes.every((step) => step?.length === 32), 'a step of the proof is not a hash');
  must(raw.length >= 32, file, 'extra', 'not salt and entry');
  const entry = raw.subarray(32);
  return {index: decimal(index.slice(6)), salt: raw.subarray(0, 32), entry, hashes,
    checkpoint: content.slice(cut + 2), deed: readDeed(entry, file, 'extra')};
}

// RFC 9162, 2.1.3.2
async function requireIncluded(leaf, index, hashes, {size, root}, file, place) {
  const bad = (holds, what) => must(holds, file, place, `not in the log: ${what}`);
  bad(index >= 0 && index < size, 'no such leaf in a tree of that size');
  let node = index, last = size - 1, computed = await sha256([0], leaf);
  const half = (number) => Math.floor(number / 2);
  for (const step of hashes) {
    bad(step.length === 32, 'a step of the proof is not a hash');
    bad(last !== 0, 'the proof is too long');
    if (node % 2 || node === last) {
      computed = await sha256([1], step, computed);
      while (node && node % 2 === 0) { node = half(node); last = half(last); }
    } else {
      computed = await sha256([1], computed, step);
    }
    node = half(node);
    last = half(last);
  }
  bad(last === 0, 'the proof is too short');
  bad(same(computed, root), 'the proof leads to another root');
}

const leafOf = (salt, entry) => sha256('voicefile/deed', [0], salt, entry);

// ---- deeds

const FIELDS = ['', 'deed_id', 'tenant', 'actor', 'role', 'action', 'object_id', 'purpose', 'outcome', 'at_ms',
  'request_id', 'boot_id', 'n', 'commitment', 'stored_through', 'related_id', 'bytes_sent'];
const NUMBERS = ['role', 'action', 'purpose', 'outcome', 'at_ms', 'n', 'stored_through', 'bytes_sent'];
const WORDS = /*@WORDS@*/{}/*@*/;

function readDeed(entry, file, place) {
  const deed = Object.fromEntries(FIELDS.slice(1).map((name) => [name, NUMBERS.includes(name) ? 0 : '']));
  deed.commitment = new Uint8Array();
  const seen = new Set();
  const bad = (holds) => must(holds, file, place, 'its entry is not a deed');
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let i = 0n; i < 10n; i++) {
      bad(at < entry.length);
      const byte = BigInt(entry[at++]);
      value |= (byte & 127n) << 7n * i;
      if (byte < 128n) return value;
    }
    return bad(false);
  };
  while (at < entry.length) {
    const tag = varint(), form = Number(tag & 7n), name = FIELDS[Number(tag >> 3n)];
    let value;
    if (form === 0) value = varint();
    else {
      bad([1, 2, 5].includes(form) && tag >> 3n);
      const length = form === 2 ? Number(varint()) : form === 1 ? 8 : 4;
      bad(at + length <= entry.length);
      value = entry.subarray(at, at += length);
    }
    if (!name) continue;
    bad(!seen.has(name) && (form === 0) === NUMBERS.includes(name));
    seen.add(name);
    if (form === 0) { bad(value <= BigInt(Number.MAX_SAFE_INTEGER)); value = Number(value); }
    else if (name !== 'commitment') {
      try { value = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(value); } catch { bad(false); }
    }
    deed[name] = value;
  }
  return deed;
}

const word = (kind, code) => WORDS[kind][code] ?? `code-${code}`;

function canonical(value) {  // keys sorted, no blanks, ASCII
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value && typeof value === 'object') {
    return `{${Object.keys(value).sort().map((key) => `${canonical(key)}:${canonical(value[key])}`).join(',')}}`;
  }
  return JSON.stringify(value).replace(/[\x7f-\uffff]/g,
    (char) => char === '\x7f' ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const keysAre = (value, names) => value !== null && typeof value === 'object' && !Array.isArray(value) &&
  canonical(Object.keys(value).sort()) === canonical(names);

async function checkDeeds(content, recording, checkpoint) {
  const file = 'deeds.json';
  let whole;
  try { whole = JSON.parse(content); } catch { throw new Refuted(file, 'whole', 'not JSON'); }
  must(canonical(whole) === content, file, 'whole', 'not in the one form the format allows');
  must(keysAre(whole, ['deeds', 'v']) && whole.v === 1 && Array.isArray(whole.deeds), file, 'whole',
    'not a list of deeds in a version known here');
  let last = -1;
  const found = [];
  for (const [i, each] of whole.deeds.entries()) {
    const place = `deed ${i}`, bad = (holds) => must(holds, file, place, 'not an entry with its salt');
    bad(keysAre(each, ['entry', 'index', 'proof', 'salt']) && Array.isArray(each.proof));
    bad(Number.isSafeInteger(each.index) && typeof each.salt === 'string' && typeof each.entry === 'string');
    const salt = fromBase64(each.salt), entry = fromBase64(each.entry);
    const hashes = each.proof.map((step) => typeof step === 'string' ? fromBase64(step) : null);
    bad(salt?.length === 32 && entry && hashes.length <= 64 && hashes.every(Boolean));
    const deed = readDeed(entry, file, place);
    must(each.index > last, file, place, `leaf ${each.index} is out of order or stands twice`);
    last = each.index;
    must(deed.object_id === recording, file, place, 'about another recording');
    await requireIncluded(await leafOf(salt, entry), each.index, hashes, checkpoint, file, `${place}, leaf ${each.index}`);
    found.push(deed);
  }
  return found;
}

// ---- the receipt

function parseReceipt(content) {
  const file = 'receipt.jws';
  must(/^[\x21-\x7e]+$/.test(content) && content.split('.').length === 3, file, 'whole',
    'not three parts with points between them');
  const object = (part, name) => {
    const raw = fromBase64url(part);
    try {
      const value = JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(raw));
      if (value && typeof value === 'object' && !Array.isArray(value)) return value;
    } catch { /* said below */ }
    throw new Refuted(file, name, 'not base64url of a JSON object');
  };
  const parts = content.split('.'), header = object(parts[0], 'header'), claims = object(parts[1], 'claims');
  must(header.alg === 'EdDSA', file, 'header alg', 'not EdDSA');
  must(header.typ === 'voicefile-receipt+jwt', file, 'header typ', 'not a receipt\'s');
  must(typeof header.kid === 'string' && /^[\x21-\x7e]{1,128}$/.test(header.kid), file, 'header kid', 'missing, or not in its form');
  must(claims.v === 1, file, 'claim v', 'a version unknown here');
  must(typeof claims.sensitive === 'boolean', file, 'claim sensitive', 'not true or false');
  const forms = {iss: /^\S+$/, tenant: /^[0-9a-f]{32}$/, recording_id: /^[0-9a-f]{32}$/,
    log: /^voicefile\/[^/\s+]+\/[0-9a-f]{32}$/, stored_at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    audio_sha256: /^[0-9a-f]{64}$/, contract_parts_sha256: /^[0-9a-f]{64}$/, consent_sha256: /^[0-9a-f]{64}$/};
  for (const [name, form] of Object.entries(forms)) {
    must(typeof claims[name] === 'string' && form.test(claims[name]), file, `claim ${name}`, 'missing, or not in its form');
  }
  const storedAt = Date.parse(claims.stored_at);
  must(Number.isFinite(storedAt) && new Date(storedAt).toISOString() === claims.stored_at, file, 'claim stored_at', 'not a time');
  return {...claims, kid: header.kid, storedAt, message: utf8.encode(parts.slice(0, 2).join('.')),
    signature: fromBase64url(parts[2]) ?? new Uint8Array()};
}

function parseReceiptKey(content) {
  const file = 'receipt-key.json';
  let jwk;
  try { jwk = JSON.parse(content); } catch { throw new Refuted(file, 'whole', 'not a key as JSON (RFC 8037)'); }
  must(keysAre(jwk, ['crv', 'kid', 'kty', 'x']) && jwk.kty === 'OKP' && jwk.crv === 'Ed25519' &&
    typeof jwk.kid === 'string' && /^[\x21-\x7e]{1,128}$/.test(jwk.kid) && typeof jwk.x === 'string' &&
    fromBase64url(jwk.x)?.length === 32, file, 'whole', 'not a key as JSON (RFC 8037)');
  must(canonical(jwk) === content, file, 'whole', 'not in the one form the format allows');
  return {kid: jwk.kid, publicKey: fromBase64url(jwk.x)};
}

function requireDeed(deed, file, actions, tenant, objectId) {
  must(actions.includes(deed.action), file, 'deed action', 'a deed of another kind');
  must(deed.outcome === 1, file, 'deed outcome', 'not done');
  must(deed.tenant === tenant, file, 'deed tenant', 'another tenant\'s');
  must(deed.object_id === objectId, file, 'deed object_id', 'about another thing than the receipt');
}

async function digitsOf(receipt) {
  const digest = await sha256('voicefile/receipt-digits', [0], receipt);
  const number = new DataView(digest.buffer).getBigUint64(0) % 1000000n;
  return number.toString().padStart(6, '0');
}

// ---- the judge

class CannotCheck extends Error {}

async function requireEd25519() {
  // RFC 8032, 7.1, test 1; and the same with a wrong signature, for a browser that says yes to all.
  const unhex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
  const key = unhex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  const right = unhex('e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b');
  const wrong = right.slice();
  wrong[0] ^= 1;
  try {
    if (await signed(key, new Uint8Array(), right) && !await signed(key, new Uint8Array(), wrong)) return;
  } catch { /* said below */ }
  throw new CannotCheck();
}

/** What is wrong (`wrong`, a list), or what is proven. `keyLine` may be empty: then nothing is. */
async function verifyBundle(raw, keyLine, witnessLines = []) {
  await requireEd25519();
  const wrong = [];
  try {
    const files = unpacked(raw);
    const said = Object.fromEntries(TEXTS.map((name) => [name, text(files, name)]));
    const trusted = keyLine ? await parseKey(keyLine.trim(), 1, 'log key') : null;
    const key = trusted ?? await parseKey(said['log-key.txt'].replace(/\n$/, ''), 1, 'log-key.txt');
    const proof = parseProof(said['receipt.tlog-proof'], 'receipt.tlog-proof');
    const checkpoint = await openCheckpoint(proof.checkpoint, key, 'receipt.tlog-proof');
    const receipt = parseReceipt(said['receipt.jws']), receiptKey = parseReceiptKey(said['receipt-key.json']);
    const keyProof = parseProof(said['receipt-key.tlog-proof'], 'receipt-key.tlog-proof');
    const audioFile = Object.keys(files).at(-1), cosigned = [];
    let deeds = [];
    const checks = [
      () => must(said['log-key.txt'] === `${key.line}\n`, 'log-key.txt', 'whole', 'another key than the one trusted'),
      () => must(receipt.log === checkpoint.origin, 'receipt.jws', 'claim log', 'another log than the checkpoint\'s'),
      () => must(receipt.log === `voicefile/${receipt.iss}/${receipt.tenant}`, 'receipt.jws', 'claim log',
        'not the log of its issuer and tenant'),
      async () => requireIncluded(await leafOf(proof.salt, proof.entry), proof.index, proof.hashes, checkpoint,
        'receipt.tlog-proof', `leaf ${proof.index}`),
      () => requireDeed(proof.deed, 'receipt.tlog-proof', [4, 37], receipt.tenant, receipt.recording_id),
      async () => must(same(proof.deed.commitment, await sha256(said['receipt.jws'])), 'receipt.jws', 'whole',
        'not the text that the log committed to'),
      () => must(Math.abs(proof.deed.at_ms - receipt.storedAt) <= CLOCK_MS_MAX, 'receipt.jws', 'claim stored_at',
        'another time than its deed in the log says'),
      () => must(receipt.kid === receiptKey.kid, 'receipt-key.json', 'kid', 'another key than the receipt names'),
      async () => must(await signed(receiptKey.publicKey, receipt.message, receipt.signature), 'receipt.jws', 'signature',
        'not by the key of its kid over this text'),
      () => must(keyProof.checkpoint === proof.checkpoint, 'receipt-key.tlog-proof', 'checkpoint',
        'another than in receipt.tlog-proof'),
      async () => requireIncluded(await leafOf(keyProof.salt, keyProof.entry), keyProof.index, keyProof.hashes, checkpoint,
        'receipt-key.tlog-proof', `leaf ${keyProof.index}`),
      () => requireDeed(keyProof.deed, 'receipt-key.tlog-proof', [22], receipt.tenant, receipt.tenant),
      async () => must(same(keyProof.deed.commitment,
        await sha256('voicefile/receipt-key', [0], receiptKey.kid, receiptKey.publicKey)), 'receipt-key.json', 'x',
        'not the key that the log committed to'),
      async () => must(hex(await sha256(files[audioFile])) === receipt.audio_sha256, audioFile, 'whole',
        'not the audio of the receipt'),
      async () => { deeds = await checkDeeds(said['deeds.json'], receipt.recording_id, checkpoint); },
      async () => must(hex(await sha256(said['VERIFY.txt'])) === GUIDE_SHA256, 'VERIFY.txt', 'whole',
        'other words than the vault puts there'),
      ...witnessLines.map((line) => async () => { cosigned.push(await cosignature(line, checkpoint)); }),
    ];
    for (const check of checks) {
      try { await check(); } catch (error) {
        if (!(error instanceof Refuted)) throw error;
        wrong.push(error);
      }
    }
    const strangers = checkpoint.others.map((each) => each.name)
      .filter((name) => !cosigned.some((each) => each.name === name));
    return {wrong, proven: !wrong.length && trusted !== null, receipt, receiptKey, proof, keyProof, checkpoint, deeds,
      cosigned, strangers, audioFile, key, digits: await digitsOf(said['receipt.jws'])};
  } catch (error) {
    if (!(error instanceof Refuted)) throw error;
    return {wrong: [error], proven: false};
  }
}

async function cosignature(line, checkpoint) {
  const witness = await parseKey(line.trim(), 4, 'witness'), file = 'receipt.tlog-proof';
  const place = `checkpoint, ${witness.name}`;
  const theirs = checkpoint.others.filter((each) => each.name === witness.name && same(each.id, witness.id));
  must(theirs.length > 0, file, place, 'not cosigned by this witness');
  let latest = 0;
  for (const {signature} of theirs) {
    must(signature.length === 72, file, place, 'not a cosignature');
    const at = Number(new DataView(signature.slice(0, 8).buffer).getBigUint64(0));
    must(at > 0 && at < 2 ** 63, file, place, 'the cosignature says no time');
    const message = utf8.encode(`cosignature/v1\ntime ${at}\n${checkpoint.body}`);
    must(await signed(witness.publicKey, message, signature.subarray(8)), file, place, 'the signature is wrong');
    latest = Math.max(latest, at);
  }
  return {name: witness.name, at: latest};
}
