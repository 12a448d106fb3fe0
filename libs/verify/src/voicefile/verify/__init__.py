"""Checks receipts, evidence bundles and whole logs offline, trusting nothing but a log's key.

A *receipt* is auth's signed word that a recording was filed. *Evidence* is a receipt with what
is needed to believe it: the audio, proofs that the log holds the receipt and the key that signed
it, and the deeds about the recording. A *bundle* is evidence in one ZIP file. A *judgement* says
what of it is proven, or names each thing that is wrong. Nothing here talks to a service but
`source.web`, which fetches a published log.

refuted    what is wrong, by file and place
receipt    a receipt and the public key it is checked with
digits     six digits of a receipt, to be compared by ear
deed_wire  deeds, read without a protobuf library; entry_json, entries as JSON shows them
cosigned   lines of witnesses under a checkpoint
evidence   what is handed in; deed_list, its list of deeds
checks     the checks, one by one; judge, all of them
zip_plan   how a bundle's bytes lie; bundle writes and reads one; guide is its VERIFY.txt
fsck       a whole log from a folder or an address: source
page       the same for a browser, in one page
command    the command lines
"""
