// What people see: two languages, three verdicts, and never a yes that was not checked.

const SAID = {
  en: {
    title: 'Is this the recording that was filed?',
    intro: 'Choose an evidence bundle (ZIP). It is checked here, in your browser: nothing leaves this computer, and this page works without a network.',
    file: 'Evidence bundle', key: 'The log\'s key (name+id+key), from somebody you trust, not from the bundle',
    witness: 'Witnesses that must have cosigned (optional, one key a line)', check: 'Check',
    checking: 'Checking …', proven: 'Proven', wrong: 'Wrong', unconfirmed: 'Consistent in itself, not proven',
    provenWhy: 'This audio is, bit for bit, what was filed. The log\'s key you gave vouches for it.',
    wrongWhy: 'Do not rely on this bundle. What is wrong, by file and place:',
    unconfirmedWhy: 'Everything fits together, but the log\'s key came along in the bundle: a forger can bring his own. Get the key from somebody you trust, compare it, and check again.',
    cannot: 'This browser cannot check', cannotWhy: 'It has no Ed25519 signatures. Nothing was checked, so nothing is said about the recording. Use a current browser, or the command voicefile-verify.',
    failed: 'The check broke off', failedWhy: 'This is a fault of the page, not of the bundle; nothing is said about the recording.',
    choose: 'Choose a bundle first.', recording: 'Recording', tenant: 'Tenant', stored: 'Filed at (UTC)', audio: 'Audio', sha: 'SHA-256',
    signed: 'Receipt', signedBy: (kid, leaf) => `signed by key ${kid}, named by leaf ${leaf} of the log`,
    log: 'Log', place: (leaf, size) => `leaf ${leaf} of ${size}`, keyUsed: 'Log\'s key', cosigned: 'Cosigned',
    nobody: 'by nobody', unchecked: 'key not given: not checked', deeds: 'Deeds listed, each in the log',
    digits: 'Six digits, to compare by telephone', listen: 'Listen',
  },
  de: {
    title: 'Ist das die hinterlegte Aufzeichnung?',
    intro: 'Wählen Sie eine Beweisdatei (ZIP). Sie wird hier in Ihrem Browser geprüft: nichts verlässt diesen Rechner, und die Seite braucht kein Netz.',
    file: 'Beweisdatei', key: 'Schlüssel des Protokolls (Name+Kennung+Schlüssel), von jemandem, dem Sie vertrauen, nicht aus der Datei',
    witness: 'Zeugen, die mitgezeichnet haben müssen (freiwillig, ein Schlüssel je Zeile)', check: 'Prüfen',
    checking: 'Wird geprüft …', proven: 'Bewiesen', wrong: 'Falsch', unconfirmed: 'In sich stimmig, nicht bewiesen',
    provenWhy: 'Dieses Audio ist Bit für Bit das, was hinterlegt wurde. Dafür bürgt der Schlüssel des Protokolls, den Sie angegeben haben.',
    wrongWhy: 'Verlassen Sie sich nicht auf diese Datei. Was falsch ist, nach Datei und Stelle:',
    unconfirmedWhy: 'Alles passt zusammen, aber der Schlüssel des Protokolls kam mit der Datei: ein Fälscher bringt seinen eigenen mit. Holen Sie den Schlüssel von jemandem, dem Sie vertrauen, und prüfen Sie noch einmal.',
    cannot: 'Dieser Browser kann nicht prüfen', cannotWhy: 'Er kennt keine Ed25519-Signaturen. Nichts wurde geprüft, also ist über die Aufzeichnung nichts gesagt. Nehmen Sie einen aktuellen Browser oder den Befehl voicefile-verify.',
    failed: 'Die Prüfung brach ab', failedWhy: 'Das ist ein Fehler der Seite, nicht der Datei; über die Aufzeichnung ist nichts gesagt.',
    choose: 'Wählen Sie zuerst eine Datei.', recording: 'Aufzeichnung', tenant: 'Mandant', stored: 'Hinterlegt am (UTC)', audio: 'Audio', sha: 'SHA-256',
    signed: 'Beleg', signedBy: (kid, leaf) => `signiert mit Schlüssel ${kid}, den Blatt ${leaf} des Protokolls nennt`,
    log: 'Protokoll', place: (leaf, size) => `Blatt ${leaf} von ${size}`, keyUsed: 'Schlüssel', cosigned: 'Mitgezeichnet',
    nobody: 'von niemandem', unchecked: 'Schlüssel nicht angegeben: ungeprüft', deeds: 'Aufgeführte Vorgänge, jeder im Protokoll',
    digits: 'Sechs Ziffern, zum Vergleich am Telefon', listen: 'Anhören',
  },
};

const GERMAN = {
  'not what the format says': 'anders, als das Format es verlangt',
  'not a ZIP file': 'keine ZIP-Datei',
  'not the end of a bundle': 'nicht das Ende einer Beweisdatei',
  'missing, or there twice': 'fehlt oder ist doppelt',
  'damaged: not the content that was packed': 'beschädigt: nicht der eingepackte Inhalt',
  'not text': 'kein Text',
  'not a verifier key': 'kein Schlüssel eines Protokolls',
  'the verifier key\'s id is another': 'die Kennung des Schlüssels ist eine andere',
  'the key did not sign the note': 'nicht mit diesem Schlüssel signiert',
  'the signature is wrong': 'die Signatur ist falsch',
  'a signature stands there twice': 'eine Signatur steht doppelt',
  'another key than the one trusted': 'ein anderer Schlüssel als der angegebene',
  'another log than the checkpoint\'s': 'ein anderes Protokoll als das signierte',
  'not the log of its issuer and tenant': 'nicht das Protokoll dieses Mandanten',
  'not in the log: the proof leads to another root': 'steht nicht im Protokoll: der Beweis führt zu einer anderen Wurzel',
  'not the text that the log committed to': 'nicht der Text, den das Protokoll festgehalten hat',
  'another time than its deed in the log says': 'eine andere Zeit, als das Protokoll sagt',
  'another key than the receipt names': 'ein anderer Schlüssel, als der Beleg nennt',
  'not by the key of its kid over this text': 'passt nicht zu Schlüssel und Text',
  'another than in receipt.tlog-proof': 'ein anderer als in receipt.tlog-proof',
  'not the key that the log committed to': 'nicht der Schlüssel, den das Protokoll festgehalten hat',
  'not the audio of the receipt': 'nicht das Audio des Belegs',
  'other words than the vault puts there': 'andere Worte, als der Tresor hineinschreibt',
  'not cosigned by this witness': 'von diesem Zeugen nicht mitgezeichnet',
  'not a cosignature': 'keine Mitzeichnung',
  'the cosignature says no time': 'die Mitzeichnung nennt keine Zeit',
  'not in the one form the format allows': 'nicht in der einen Form, die das Format erlaubt',
  'bytes that belong to no file': 'Bytes, die zu keiner Datei gehören',
};

const language = (navigator.language || 'en').startsWith('de') ? 'de' : 'en';
const say = SAID[language];
const byId = (id) => document.getElementById(id);
const inWords = (what) => language === 'de' ? GERMAN[what] ?? what : what;
const inPlace = (place) => language === 'de' && place === 'whole' ? 'im Ganzen' : place;

function element(name, content, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

function verdict(kind, head, why) {
  const box = byId('result');
  box.replaceChildren(element('h2', head), element('p', why));
  box.className = kind;
  return box;
}

function facts(found) {
  const rows = [
    [say.digits, `${found.digits.slice(0, 3)} ${found.digits.slice(3)}`],
    [say.recording, found.receipt.recording_id], [say.tenant, found.receipt.tenant],
    [say.stored, found.receipt.stored_at], [say.audio, found.audioFile], [say.sha, found.receipt.audio_sha256],
    [say.signed, say.signedBy(found.receipt.kid, found.keyProof.index)],
    [say.log, `${found.checkpoint.origin}, ${say.place(found.proof.index, found.checkpoint.size)}`],
    [say.keyUsed, found.key.line],
    [say.cosigned, [...found.cosigned.map((each) => `${each.name}, ${new Date(each.at * 1000).toISOString()}`),
      ...found.strangers.map((name) => `${name} (${say.unchecked})`)].join('; ') || say.nobody],
    [say.deeds, found.deeds.map((deed) => `${new Date(deed.at_ms).toISOString()} ${word('action', deed.action)}`).join('\n') || '0'],
  ];
  const list = element('dl');
  for (const [name, value] of rows) list.append(element('dt', name), element('dd', value));
  return list;
}

async function check() {
  const [file] = byId('bundle').files;
  if (!file) return verdict('', say.choose, '');
  verdict('', say.checking, '');
  try {
    const witnesses = byId('witness').value.split('\n').filter((line) => line.trim());
    const found = await verifyBundle(new Uint8Array(await file.arrayBuffer()), byId('key').value.trim(), witnesses);
    if (found.wrong.length) {
      const list = element('ul');
      for (const {file: name, place, what} of found.wrong) list.append(element('li', `${name}: ${inPlace(place)}: ${inWords(what)}`));
      verdict('wrong', say.wrong, say.wrongWhy).append(list);
    } else if (found.proven) {
      verdict('proven', say.proven, say.provenWhy).append(facts(found));
    } else {
      verdict('unconfirmed', say.unconfirmed, say.unconfirmedWhy).append(facts(found));
    }
  } catch (error) {
    if (error instanceof CannotCheck) verdict('wrong', say.cannot, say.cannotWhy);
    else verdict('wrong', say.failed, `${say.failedWhy} (${error.name})`);
  }
  return undefined;
}

document.documentElement.lang = language;
document.title = say.title;
for (const name of ['title', 'intro', 'file', 'key', 'witness', 'check']) byId(`say-${name}`).textContent = say[name];
byId('say-check').addEventListener('click', check);
