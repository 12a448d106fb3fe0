# OpenBao, one node of Raft. Tests run with this very file, with other paths and ports.

ui           = false
api_addr     = "https://openbao.voicefile.internal:8200"
cluster_addr = "https://openbao.voicefile.internal:8201"

storage "raft" {
  path    = "/data"
  node_id = "one"
}

listener "tcp" {
  address         = "[::]:8200"
  cluster_address = "[::]:8201"
  tls_cert_file   = "/run/voicefile/certificate.pem"
  tls_key_file    = "/run/voicefile/certificate.pem"
  tls_min_version = "tls13"
}
