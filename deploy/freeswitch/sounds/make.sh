#!/usr/bin/env bash
# Makes apology.wav beside it, in case nobody has spoken one. Needs espeak-ng and sox; the edge
# needs neither.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
espeak-ng -v de -s 160 -w "$work/de.wav" \
  "Es tut uns leid, das geht gerade nicht. Bitte rufen Sie in einigen Minuten noch einmal an."
espeak-ng -v en -s 160 -w "$work/en.wav" \
  "We are sorry, this does not work right now. Please call again in a few minutes."
sox "$work/de.wav" "$work/en.wav" -r 8000 -c 1 -b 16 apology.wav norm -3 pad 0.2 0.2
