"""VERIFY.txt: how a person checks a bundle. Verifiers compare it byte by byte."""

from typing import Final

GUIDE_TEXT: Final = """\
EVIDENCE OF A RECORDING / BEWEIS EINER AUFZEICHNUNG

English
This file proves that the audio in it is, bit for bit, what was filed with the
vault at the time its receipt says. You need not trust whoever gave it to you:
check it yourself, without a network.

1. Get the key of the log from somebody you trust, not from this file. It is
   one line: name+id+key. Compare it with log-key.txt.
2. Open the page verify.html in a browser, choose this ZIP file and paste the
   key. Or, with Python 3.11 or newer and the package voicefile-verify:
       voicefile-verify evidence.zip --log-key 'name+id+key'
3. The answer is "proven", or it names the file and the place that is wrong.
4. Compare the six digits it shows with those you were told.

Without a key from elsewhere the answer can only be "consistent in itself".
Do not unpack and pack again: the ZIP's own bytes are checked, too.

Deutsch
Diese Datei beweist, dass das Audio darin Bit für Bit das ist, was zu der Zeit
hinterlegt wurde, die der Beleg nennt. Sie müssen niemandem glauben, auch nicht
dem, der sie Ihnen gab: prüfen Sie selbst, ohne Netz.

1. Holen Sie den Schlüssel des Protokolls von jemandem, dem Sie vertrauen, nicht
   aus dieser Datei. Er ist eine Zeile: Name+Kennung+Schlüssel. Vergleichen Sie
   sie mit log-key.txt.
2. Öffnen Sie die Seite verify.html im Browser, wählen Sie diese ZIP-Datei und
   fügen Sie den Schlüssel ein. Oder, mit Python ab 3.11 und dem Paket
   voicefile-verify:
       voicefile-verify evidence.zip --log-key 'Name+Kennung+Schlüssel'
3. Die Antwort ist "bewiesen", oder sie nennt Datei und Stelle, die falsch ist.
4. Vergleichen Sie die sechs Ziffern mit denen, die Ihnen genannt wurden.

Ohne Schlüssel von anderswo heißt die Antwort höchstens "in sich stimmig".
Nicht aus- und wieder einpacken: auch die Bytes der ZIP-Datei werden geprüft.

What is in here / Was darin liegt
audio.*                 the recording as it was filed / die Aufzeichnung
receipt.jws             the receipt (JWS, EdDSA) / der Beleg
receipt.tlog-proof      that the log holds the receipt / dass er im Protokoll steht
receipt-key.json        the key that signed it / der Schlüssel, der ihn signierte
receipt-key.tlog-proof  that the log names this key / dass das Protokoll ihn nennt
log-key.txt             the log's key: compare it / Schlüssel des Protokolls
deeds.json              what was done with it since / was seither damit geschah
"""
