"""The accepted containers, each read by its own rules before libav sees a byte.

Every container must account for every byte of the upload: what is neither sound nor a part on
its list is refused, and so is what follows its end. Where a format has a field for its length,
the length must be stated and must be true. What stands beside the sound (tags, chunks, boxes)
may fill 64 KiB at most and may not look like another kind of file.
"""
