"""Images that say which they are, and what a page is asked while they are looked at."""

import io
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SLICES, FILES, BITS, SIDE = 512, 4, 10, 8

# At every frame that the browser paints: which slice the picture is (its number stands in it as
# ten squares, black or white), and what the page says.
WATCH = """() => {
  const probe = new OffscreenCanvas(80, 8).getContext("2d", { willReadFrequently: true });
  const slices = JSON.parse(document.getElementById("viewer-data").textContent).series[0].slices;
  const part = (name) => document.querySelector(`[data-part="${name}"]`);
  const numberOf = (picture) => {
    if (!picture) return 0;
    probe.drawImage(picture, 0, 0, 80, 8);
    const { data } = probe.getImageData(0, 0, 80, 8);
    let number = 0;
    for (let bit = 0; bit < 10; bit += 1) {
      number += data[4 * (4 * 80 + bit * 8 + 4)] > 127 ? 2 ** bit : 0;
    }
    return number;
  };
  const look = () => {
    const drawn = [...part("stage").querySelectorAll("canvas, img:not(.overlay)")];
    const picture = drawn.find((one) => one.getClientRects().length && one.width > 1);
    const file = slices.find((one) => part("download").href.includes(one.instance));
    return {
      picture: numberOf(picture),
      caption: part("corner-slice").textContent,
      words: part("slice-words").textContent,
      spokenAs: part("slider").getAttribute("aria-valuetext"),
      firstOfFile: file ? slices.indexOf(file) + 1 : 0,
      asked: Number(part("slider").value),
      message: part("message").textContent,
      isDim: getComputedStyle(picture?.parentElement ?? document.body).opacity < 1,
    };
  };
  window.look = look;
  window.seen = [];
  const watch = () => {
    window.seen.push(look());
    requestAnimationFrame(watch);
  };
  watch();
}"""

LEVELS = """() => {
  const canvas = document.querySelector("[data-part=frame]");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [...data].filter((_, place) => place % 4 === 0);
}"""
SERVED = """async () => {
  const slices = JSON.parse(document.getElementById("viewer-data").textContent).series[0].slices;
  const part = (name) => document.querySelector(`[data-part=${name}]`);
  const slice = slices[part("slider").value - 1];
  const window_ = `center=${part("center").value}&width=${part("width").value}`;
  const answer = await fetch(`/instances/${slice.instance}/frames/${slice.frame}.png?${window_}`);
  const bitmap = await createImageBitmap(await answer.blob());
  const probe = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  probe.drawImage(bitmap, 0, 0);
  const { data } = probe.getImageData(0, 0, bitmap.width, bitmap.height);
  return [...data].filter((_, place) => place % 4 === 0);
}"""

SMALL = """() => {
  const controls = [...document.querySelectorAll("main :is(button, select, summary, a.btn)")];
  const boxes = controls.map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()]);
  const isSmall = ({ width, height }) => width && (width < 24 || height < 24);
  return boxes.filter(([, box]) => isSmall(box)).map(([words]) => words);
}"""


def describe(sop_class: str, **fields: Any) -> Dataset:
    """The header that all images of these tests share."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = (
        "Viewer^Test",
        "19700101",
        "F",
    )
    dataset.StudyDate, dataset.SamplesPerPixel = "20260112", 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset


def fill(dataset: Dataset, pixels: np.ndarray) -> bytes:
    """The file of these pixels (rows x columns, or frames of them)."""
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def draw_numbers(numbers: range) -> np.ndarray:
    """A frame of each number: its bits as squares, black or white."""
    bits = (np.array(numbers)[:, None] >> np.arange(BITS)) & 1
    squares = np.repeat(np.repeat(bits[:, None, :], SIDE, axis=2), SIDE, axis=1)
    return (squares * 255).astype(np.uint8)
