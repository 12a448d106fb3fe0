# What the auth service may do in its transit mount, and nothing besides: make, use and destroy
# keys that never leave. It can't export one, make one exportable, or back one up.

path "transit/keys" {
  capabilities = ["list"]
}

path "transit/keys/+" {
  capabilities      = ["create", "update", "read", "delete"]
  denied_parameters = {
    "exportable"             = []
    "allow_plaintext_backup" = []
  }
}

# Only so that a key can be destroyed.
path "transit/keys/+/config" {
  capabilities       = ["update"]
  allowed_parameters = {
    "deletion_allowed" = []
  }
}

# No "create" here: encrypting under a name that doesn't exist must not make a key.
path "transit/encrypt/+" {
  capabilities = ["update"]
}

path "transit/decrypt/+" {
  capabilities = ["update"]
}

# Its own token, to be kept alive; without the default policy nothing else about tokens.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
