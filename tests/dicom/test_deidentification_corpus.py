"""The acceptance of de-identification: 200 planted files, nothing of anybody left."""

import io
import re
import zlib

import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.filewriter import dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian

from records.dicom.deidentification import Options, Pseudonyms, deidentify, open_image
from records.dicom.deidentification.profile import is_device_attribute
from records.dicom.deidentification.vocabulary import DEVICE_TEXTS
from tests.dicom.planting import Planted, make_corpus
from tests.dicom.sandboxed import unpacked

FILES = 200
KEEPING = {
    "basic": Options(),
    "dates and patient": Options(retain_dates=True, retain_patient=True),
    "device": Options(retain_device=True),
    "everything": Options(retain_dates=True, retain_device=True, retain_patient=True),
}


def readable(content: bytes) -> bytes:
    """The bytes in which to search: a deflated data set has to be inflated first."""
    meta = dcmread(io.BytesIO(content), specific_tags=["SOPClassUID"]).file_meta
    if meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
        return content
    start = 144 + int.from_bytes(content[140:144], "little")
    return content[:start] + zlib.decompress(content[start:], -zlib.MAX_WBITS)


@pytest.fixture(scope="module")
def corpus() -> list[Planted]:
    return make_corpus(FILES)


def found_in(planted: Planted, content: bytes) -> set[str]:
    """The places whose tokens stand in the content, in any of the ways to write them.

    Few of the hundreds of needles begin as anything does there: the others needn't be looked for.
    """
    begun = {content[at : at + 4] for at in range(len(content) - 3)}
    return {
        place
        for place, token in planted.tokens.items()
        if any(
            (len(needle) < 4 or needle[:4] in begun) and needle in content
            for needle in planted.needles(token)
            if needle
        )
    }


def without_new_uids(planted: Planted, content: bytes) -> bytes:
    """Drop the pseudonyms: 38 random digits may hold any date by chance."""
    made = {uid for uid in re.findall(rb"2\.25\.\d+", content) if uid not in planted.content}
    for uid in made:
        content = content.replace(uid, b"")
    return content


def test_corpus_is_planted_in_every_kind_of_place(corpus):
    assert len(corpus) == FILES
    for planted in corpus:
        assert found_in(planted, readable(planted.content)) == set(planted.tokens), planted.name
    assert min(len(planted.tokens) for planted in corpus) > 80
    assert len({planted.syntax for planted in corpus}) >= 9
    assert len({planted.encoding for planted in corpus}) == 5


def without_device(content: bytes) -> bytes:
    """Drop what Retain Device Identity keeps on purpose."""
    image = dcmread(io.BytesIO(content))
    image.walk(_drop_device)
    buffer = io.BytesIO()
    dcmwrite(buffer, image)
    return buffer.getvalue()


def _drop_device(target: Dataset, element: DataElement) -> None:
    if element.keyword in DEVICE_TEXTS or is_device_attribute(element.tag):
        del target[element.tag]


@pytest.fixture(scope="module")
def opened(corpus) -> list[tuple[Planted, Dataset]]:
    """Every file, and what is read of it: which option applies makes no difference yet."""
    return [(planted, open_image(io.BytesIO(unpacked(planted.content)))) for planted in corpus]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("options", KEEPING.values(), ids=KEEPING)
def test_deidentify_leaves_nothing_when_identifiers_are_everywhere(opened, options):
    left, words = {}, {}
    for number, (planted, image) in enumerate(opened):
        pseudonyms = Pseudonyms(key=b"key", subject=str(number))
        content = deidentify(image, options=options, pseudonyms=pseudonyms)
        searched = without_device(content) if options.retain_device else content
        left[planted.name] = found_in(planted, without_new_uids(planted, searched))
        marks = dcmread(io.BytesIO(content))
        words[planted.name] = marks.PatientIdentityRemoved
        assert content[:132] == bytes(128) + b"DICM"
        assert marks.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert {name: places for name, places in left.items() if places} == {}
    assert set(words.values()) == {"YES"}
