#!/bin/sh
# Opens OpenBao after a start; at the first time it is initialised, and auth and audit each get a
# transit mount, a policy, and a token that goes no further than that. Said again, nothing changes.
#
# BAO_ADDR, BAO_CACERT: where it is. POLICY: the shipped policy. KEYS: a folder for what opens it.
# SERVICES: SERVICES/<service>/voicefile_transit_token is written.
set -eu
umask 077
kept="$KEYS/openbao"

# 0: open; 2: sealed, or not yet initialised; anything else: not there.
state=0
bao status >/dev/null 2>&1 || state=$?
[ "$state" = 0 ] || [ "$state" = 2 ] || { echo "OpenBao can't be reached at $BAO_ADDR" >&2; exit 1; }

if ! bao operator init -status >/dev/null 2>&1; then
  [ ! -e "$kept" ] || { echo "$kept opens another one: it is not written over" >&2; exit 1; }
  bao operator init -key-shares=1 -key-threshold=1 >"$kept.new"
  mv "$kept.new" "$kept"
fi
key() { sed -n "s/^$1: //p" "$kept"; }

if [ "$state" = 2 ]; then
  # From standard input, so that no list of processes shows it.
  bao write -format=json sys/unseal - >/dev/null <<EOF
{"key": "$(key 'Unseal Key 1')"}
EOF
fi

BAO_TOKEN="$(key 'Initial Root Token')"
export BAO_TOKEN
tries=0
until bao secrets list >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 30 ] || { echo "OpenBao is not open after 30 s" >&2; exit 1; }
  sleep 1
done

for service in auth audit; do
  mount="transit-$service"
  token="$SERVICES/$service/voicefile_transit_token"
  bao secrets list -format=json | grep -q "\"$mount/\""  ||
    bao secrets enable -path="$mount" transit >/dev/null
  sed "s|\"transit/|\"$mount/|" "$POLICY" | bao policy write "$mount" - >/dev/null
  if [ ! -s "$token" ]; then
    mkdir -p "$SERVICES/$service"
    bao token create -policy="$mount" -no-default-policy -period=768h -orphan -field=token \
      >"$token.new"
    mv "$token.new" "$token"
  fi
  echo "$service: $mount"
done
