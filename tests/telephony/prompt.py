"""One `<playback>` or `<pause>`: packet by packet, with the keys that come meanwhile."""

from enum import Enum, auto

from tests.telephony.digits import DigitParser, Outcome
from tests.telephony.httapi import DIGIT_TIMEOUT_MS, INPUT_TIMEOUT_MS, PAUSE_MS, Tag
from tests.telephony.line import PACKET_MS, Line
from tests.telephony.sounds import RATE_HZ, SAMPLE_BYTES, Heard, Sounds, samples

PACKET_SAMPLES = RATE_HZ * PACKET_MS // 1000


class Result(Enum):
    """How something ended. Anything but a success at the end of a prompt ends httapi."""

    SUCCESS = auto()
    FOUND = auto()
    BREAK = auto()
    UNPLAYABLE = auto()
    GONE = auto()
    OVERFLOW = auto()


RESULTS = {
    Outcome.FOUND: Result.FOUND,
    Outcome.BREAK: Result.BREAK,
    Outcome.OVERFLOW: Result.OVERFLOW,
}


class Prompt:
    """Plays and collects, `loops` and all. One parser holds keys over all repetitions."""

    def __init__(self, tag: Tag, line: Line, sounds: Sounds, variables: dict[str, str]) -> None:
        self._tag = tag
        self._line = line
        self._sounds = sounds
        self._variables = variables
        timeout_ms = tag.milliseconds("digit-timeout", DIGIT_TIMEOUT_MS)
        self.parser = DigitParser(tag.binds, digit_timeout_ms=timeout_ms) if tag.binds else None
        self.submits = False
        self.invalid = False
        self._playing = tag.name == "playback"

    async def run(self) -> Result:
        """All of it; `submits` and `invalid` say what is to be sent."""
        result = Result.SUCCESS
        for _ in range(self._tag.times):
            result = await self._once()
            if not self._line.up:
                return Result.GONE
            if self._playing and self.parser is None:
                # Nobody is asked anything. Whether it could be played isn't looked at either.
                self.submits = True
                return Result.SUCCESS
            if result is Result.FOUND:
                self.submits = True
                return Result.SUCCESS
            if result is Result.BREAK:
                await self._regret()
                result = Result.SUCCESS
            elif result is not Result.SUCCESS:
                return result
        return result if self._line.up else Result.GONE

    async def _once(self) -> Result:
        if self._playing:
            result = await self._play(self._tag.get("file") or self._tag.file, self.parser)
            if result is not Result.SUCCESS or self.parser is None:
                return result
            listens_ms = self._tag.milliseconds("input-timeout", INPUT_TIMEOUT_MS)
        else:
            listens_ms = self._tag.milliseconds("milliseconds", PAUSE_MS)
        result = await self._listen(listens_ms)
        # The time is over for the whole entry, whatever has been typed of it; the parser keeps it.
        return Result.BREAK if result is Result.SUCCESS and self.parser else result

    async def _regret(self) -> None:
        error_file = self._tag.get("error-file")
        if error_file:
            # Any key stops it, and that key is nobody's any more.
            await self._play(error_file, None, stops=True)
            self.invalid = True

    async def _listen(self, milliseconds: int) -> Result:
        """Silence, for the entry's time. Without binds keys stay where they are."""
        ends_ms = self._line.now_ms + milliseconds
        while self._line.up:
            if self._line.now_ms >= ends_ms:
                return Result.SUCCESS
            if (result := self._key(self.parser)) is not None:
                return result
            await self._line.packet()
            if (result := self._time(self.parser)) is not None:
                return result
        return Result.GONE

    async def _play(self, file: str, parser: DigitParser | None, *, stops: bool = False) -> Result:
        if not self._line.up:
            return Result.GONE
        wav = await self._sounds.open(file, self._line.now_ms)
        if wav is None:
            # What was typed ahead is gone with it, and the offset is that of what played before.
            self._line.keys.clear()
            return Result.UNPLAYABLE
        length = len(samples(wav)) // SAMPLE_BYTES
        at = 0
        result = None
        while result is None:
            if not self._line.up:
                result = Result.GONE
            elif stops and self._line.keys:
                self._line.keys.popleft()
                result = Result.BREAK
            elif (result := self._key(parser)) is None:
                if at == length:
                    result = Result.SUCCESS
                else:
                    start, at = at, min(at + PACKET_SAMPLES, length)
                    result = await self._packet(parser)
                    if result is None and self._line.up:
                        muted = parser is not None and bool(parser.typed)
                        self._played(Heard(file, wav, start, at, self._line.now_ms, muted))
        self._variables["playback_last_offset_pos"] = str(at)
        self._sounds.close(file)
        return result

    async def _packet(self, parser: DigitParser | None) -> Result | None:
        """Its time goes by first: a packet during which somebody hangs up is heard by nobody."""
        await self._line.packet()
        return self._time(parser)

    def _played(self, now: Heard) -> None:
        """Puts it to the former stretch if it goes on from there."""
        last = self._sounds.heard[-1] if self._sounds.heard else None
        if last and last.wav is now.wav and (last.stop, last.muted) == (now.start, now.muted):
            last.stop = now.stop
        else:
            now.at_ms -= PACKET_MS
            self._sounds.heard.append(now)

    def _key(self, parser: DigitParser | None) -> Result | None:
        """One key for each packet, if a parser wants any."""
        if parser is None or not self._line.keys:
            return None
        return RESULTS.get(parser.feed(self._line.keys.popleft(), self._line.now_ms))

    def _time(self, parser: DigitParser | None) -> Result | None:
        return None if parser is None else RESULTS.get(parser.ping(self._line.now_ms))
