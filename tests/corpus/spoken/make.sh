#!/usr/bin/env bash
# Makes the spoken corpus beside it. Needs espeak-ng, sox and ffmpeg; the tests need none of them.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
espeak-ng -v de -s 165 -w "$work/said.wav" \
  "Der Tarif Sonnenstrom Muster läuft zwei Jahre. Sind Sie einverstanden?"
espeak-ng -v de+f3 -s 165 -w "$work/yes.wav" "Ja."
sox "$work/said.wav" "$work/yes.wav" -r 48000 -b 16 "$work/call.wav" norm -3 trim 0 4
sox "$work/call.wav" "$work/short.wav" trim 0 2
# The two sides of a call, side by side.
sox -M "$work/call.wav" "|sox $work/call.wav -p reverse" "$work/sides.wav"

sox "$work/call.wav" -r 8000 -b 16 pcm16-8k.wav
sox "$work/call.wav" -r 8000 -b 8 -e unsigned-integer pcm8-8k.wav
sox "$work/short.wav" -r 16000 -b 24 pcm24-16k.wav
sox "$work/short.wav" -r 8000 -b 32 -e signed-integer pcm32-8k.wav
sox "$work/call.wav" -r 8000 -e a-law alaw-8k.wav
sox "$work/call.wav" -r 8000 -e u-law ulaw-8k.wav
sox "$work/sides.wav" -r 8000 -e a-law alaw-8k-stereo.wav
sox "$work/short.wav" -r 44100 -b 16 pcm16-44k1.wav

encode() { ffmpeg -nostdin -v error -y -bitexact -i "$1" "${@:2}"; }
encode "$work/call.wav" -ar 44100 -b:a 48k mp3-44k1.mp3
encode "$work/call.wav" -ar 8000 -b:a 16k mp3-8k.mp3
encode "$work/call.wav" -ar 16000 -q:a 6 mp3-16k-vbr.mp3
encode "$work/sides.wav" -ar 48000 -b:a 64k mp3-48k-stereo.mp3
encode "$work/call.wav" -c:a libopus -b:a 16k -application voip opus-voice.opus
encode "$work/call.wav" -c:a libopus -b:a 8k -frame_duration 60 opus-8kbit.ogg
encode "$work/sides.wav" -c:a libopus -b:a 32k opus-stereo.opus
encode "$work/call.wav" -ar 8000 flac-8k.flac
encode "$work/call.wav" -ar 16000 flac-16k.flac
encode "$work/short.wav" -ar 44100 -sample_fmt s32 flac-44k1-24bit.flac
encode "$work/call.wav" -ar 44100 -c:a aac -b:a 48k m4a-44k1.m4a
encode "$work/call.wav" -ar 16000 -c:a aac -b:a 24k -movflags +faststart m4a-16k-front.m4a
encode "$work/sides.wav" -ar 48000 -c:a aac -b:a 64k m4a-48k-stereo.m4a
