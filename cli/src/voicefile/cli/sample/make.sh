#!/usr/bin/env bash
# Makes summary-de.wav beside it. Needs espeak-ng and sox; the vault needs neither.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
espeak-ng -v de -s 185 -w "$work/summary.wav" \
  "Ich fasse zusammen: Tarif Sonnenstrom Muster, zwei Jahre Laufzeit, achtundzwanzig Cent je \
Kilowattstunde, zwölf Euro Grundpreis im Monat. Sie können vierzehn Tage lang widerrufen. \
Sind Sie einverstanden?"
espeak-ng -v de+f3 -s 165 -w "$work/yes.wav" "Ja, ich bin einverstanden."
sox "$work/summary.wav" "$work/yes.wav" -r 8000 -c 1 -b 16 summary-de.wav norm -3
