"""What a recording is and sounds like: recognised by content, decoded in a process of its own.

The parent's side (decoder, decode_job) holds the key and reads the sealed blob; the child's side
(decoder_process, decoding, rendition) has neither key, file nor network and asks for bytes.
"""
