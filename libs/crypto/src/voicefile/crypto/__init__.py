"""The sealed format, the keys and the only door to libsodium.

secret      values that must not be seen: keys and texts
errors      what can go wrong, by name
primitives  the algorithms, and nothing of the trade
envelope    VFE1's header and key schedule; small sealed things: wrapped keys and fields
stream      VFE1's body: chunks, sealed while they arrive, opened in any order
keyring     a tenant's keys: identity, epochs, receipts; the rules of their lives
rootkey     the port to what wraps the keyring's keys; rootkey_conformance, its law;
            rootkey_file (development), rootkey_transit (OpenBao, Vault), rootkey_pkcs11 (HSMs)
"""
