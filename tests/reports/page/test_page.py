import base64
import hashlib
import json
import re


def between(text, start, end):
    return text.split(start, 1)[1].split(end, 1)[0]


def test_its_own_style_and_script_are_all_that_it_allows(page):
    text = page.read_text("utf-8")
    policy = between(text, 'Content-Security-Policy" content="', '"').replace("&#39;", "'")
    for tag, rule in (("<style>", "style-src"), ("<script>", "script-src")):
        inside = between(text, tag, tag.replace("<", "</"))
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_it_names_no_address_and_has_no_inline_style(page):
    text = page.read_text("utf-8")
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert " style=" not in text
    assert "http" not in re.sub(r"http-equiv", "", text)


def test_every_link_to_cells_finds_them(page):
    text = page.read_text("utf-8")
    known = json.loads(between(text, '<script type="application/json" id="data">', "</script>"))
    named = [key for keys in re.findall(r'data-cells="([^"]*)"', text) for key in keys.split()]
    assert set(named) == set(known["cells"])
    marks = {int(place) for place in re.findall(r'data-point="(\d+)"', text)}
    assert marks == set(range(len(known["plots"][0])))
    assert all(point["cell"] in known["cells"] for point in known["plots"][0])


def test_images_have_text_alternatives(page):
    images = re.findall(r"<img [^>]*>", re.sub(r'src="[^"]*"', "", page.read_text("utf-8")))
    assert images
    assert all(re.search(r'alt="[^"]{20,}"', image) for image in images)


def test_what_is_not_drawn_says_why(page):
    assert "Settling: no policy and no tokenizer of its mean length" in page.read_text("utf-8")


def test_ids_are_given_once(page):
    ids = re.findall(r' id="([^"]*)"', page.read_text("utf-8"))
    assert len(ids) == len(set(ids))
