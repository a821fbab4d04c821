"""WADO-RS of pictures: windows, viewports, and what makes none."""

import io

import numpy as np
import pytest
from PIL import Image

from accounts.models import AuditEvent
from records.choices import Action
from tests.dicom.files import make_dicom
from tests.records.dicomweb.answers import get, parts_of, url_of

pytestmark = pytest.mark.django_db


def picture(response) -> Image.Image:
    assert response.status_code == 200, response.content
    return Image.open(io.BytesIO(response.content))


def test_rendered_is_a_jpeg_unless_png_is_asked_for(browser, small_study):
    url = f"{small_study.instance_url()}/rendered"

    assert picture(get(browser, url)).format == "JPEG"
    assert picture(get(browser, url, "image/png")).format == "PNG"
    assert get(browser, url, "image/gif").status_code == 406


@pytest.mark.parametrize(
    ("window", "level"),
    [("128,1", 255), ("100,201,linear-exact", 128), ("127,100,sigmoid", 128), ("300,10", 0)],
)
def test_rendered_applies_the_window_that_is_asked_for(browser, hold, window, level):
    instance = hold(make_dicom(PixelData=np.full(256, 128, "<u2").tobytes()[:-2] + b"\0\0"))
    url = f"{url_of(instance)}/rendered?window={window}&accept=image/png"

    shown = np.asarray(picture(get(browser, url)))[0, 0]

    assert abs(int(shown) - level) <= {"100,201,linear-exact": 36}.get(window, 3)


def test_rendered_fits_into_the_viewport(browser, small_study):
    url = f"{small_study.instance_url()}/rendered"

    assert picture(get(browser, f"{url}?viewport=8,64")).size == (8, 8)
    assert picture(get(browser, f"{url}?viewport=100,100,4,4,8,4")).size == (100, 50)
    assert picture(get(browser, f"{url}?viewport=64,64,,,8,4")).size == (64, 32)
    assert picture(get(browser, f"{url}?viewport=64,64,8,,,")).size == (32, 64)
    assert picture(get(browser, f"{small_study.url}/thumbnail")).size == (128, 128)


@pytest.mark.parametrize(("sides", "axis"), [("-16,16", 1), ("16,-16", 0)])
def test_rendered_is_turned_over_by_a_side_below_zero(browser, small_study, sides, axis):
    url = f"{small_study.instance_url()}/rendered?accept=image/png&viewport=16,16"
    plain, turned = (
        np.asarray(picture(get(browser, address))) for address in (url, f"{url},0,0,{sides}")
    )

    assert not (plain == turned).all()
    assert (np.flip(plain, axis) == turned).all()


@pytest.mark.parametrize(
    "query",
    ["window=1", "window=a,b", "window=1,0", "window=1,2,cubic", "window=1,nan", "viewport=1"]
    + ["viewport=0,5", "viewport=99999,5", "quality=0", "quality=x", "annotation=patient"],
)
def test_rendered_refuses_parameters_that_make_no_picture(browser, small_study, query):
    response = get(browser, f"{small_study.instance_url()}/rendered?{query}")

    assert response.status_code == 400
    assert response.json()["code"] == "invalid"


def test_rendered_gives_every_image_of_a_study_as_parts(browser, small_study):
    parts = parts_of(get(browser, f"{small_study.url}/rendered"))

    assert [kind for kind, _ in parts] == ["image/jpeg"] * 4
    assert get(browser, f"{small_study.url}/rendered", "image/jpeg").status_code == 406


def test_rendered_is_recorded_as_a_look_at_the_images(browser, small_study):
    get(browser, f"{small_study.instance_url()}/rendered")

    assert AuditEvent.objects.filter(action=Action.IMAGE_VIEWED).count() == 1
