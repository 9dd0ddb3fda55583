"""Dead letters of foreign records, mapped again once the file or the schema is mended.

What comes of it has the ids that it would have had, and no place (`ritorno_origin`): what came
behind it was heard meanwhile. So what of the record counted already is known by its source and id.
"""

from __future__ import annotations

from agents.mappings.mapping import SourceMapping
from schemas.dead_letters import DeadLetter
from schemas.notation import Notation
from schemas.records import OutRecord, Record
from schemas.validation import Unreadable
from schemas.wire import to_record
from streams.connect.mappings.decoding import Decoder
from streams.connect.mappings.foreign_streams import registry_of
from streams.connect.mappings.mapping_file import MappingFile
from streams.connect.mappings.schema_registry import SchemaRegistry
from streams.operate.dead_letter_resend import NotResent


class LetterMapper:
    """Maps the records of letters by the file as it is now."""

    def __init__(self, file: MappingFile | None, notation: Notation) -> None:
        """None: there is no file, and no letter can be mapped."""
        self._mappings = {each.source.name: each for each in file.mappings} if file else {}
        self._notation = notation
        self._decoders: dict[str, tuple[Decoder, SchemaRegistry | None]] = {}

    async def stop(self) -> None:
        """Disconnect from the registries. Safe to call twice."""
        for _, registry in self._decoders.values():
            if registry is not None:
                await registry.stop()

    async def map(self, letter: DeadLetter) -> list[OutRecord]:
        """Return the events of a letter's record, none of one that is left out by now. Raises
        Unreadable while something of it is refused, NotResent where no mapping is its own, and
        RegistryUnavailable."""
        name, _, topic = letter.origin.topic.partition("/")
        mapping = self._mappings.get(name)
        if mapping is None or mapping.source.topic != topic:
            raise NotResent(f"no mapping {name} of the topic {topic} is in the file")
        key, value, headers = letter.original
        _, partition, offset = letter.origin
        record = Record(topic, partition, offset, letter.time, key, value, headers)
        (decoded,) = await self._decoder(mapping).decode([record])
        if isinstance(decoded, Unreadable):
            raise decoded
        mapped = mapping.map(decoded, self._notation)
        if mapped.refusals:
            raise mapped.refusals[0]
        return [to_record(event) for _, event in mapped.events]

    def _decoder(self, mapping: SourceMapping) -> Decoder:
        name = mapping.source.name
        if name not in self._decoders:
            registry = registry_of(mapping.source)
            self._decoders[name] = Decoder(mapping.source, registry), registry
        return self._decoders[name][0]
