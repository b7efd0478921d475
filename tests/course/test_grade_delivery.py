"""What an LMS hands over: names of Moodle and Canvas, and everything that a zip should not hold."""

import os
import stat
import warnings
import zipfile

import nbformat
import pytest

from course.grade.delivery import Student, deliver
from course.grade.normalise import MAX_FILE
from course.messages import CourseError

ONE, OTHER = b'{"cells": [1]}', b'{"cells": [2]}'
MOODLE = "Ana García_4711_assignsubmission_file_"


@pytest.fixture
def zipped(tmp_path):
    """`zipped({"name": bytes})` writes a zip and returns its path."""

    def make(files):
        with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "from.zip", "w") as archive:
            warnings.simplefilter("ignore")  # a name twice
            for name, content in files.items() if isinstance(files, dict) else files:
                archive.writestr(name, content, zipfile.ZIP_DEFLATED)
        return tmp_path / "from.zip"

    return make


def take(source, root, lesson, roster=()):
    """Deliver; return the delivery and, by student, the files that now lie in `submitted/`."""
    delivery = deliver(source, root, lesson, list(roster))
    folders = [f for f in (root / "submitted").glob(f"*/{lesson.assignment}") if f.is_dir()]
    return delivery, {f.parent.name: {file.name: file.read_bytes() for file in f.iterdir()} for f in folders}


def test_a_name_in_utf_8_is_read_where_the_zip_does_not_say_that_it_is(tmp_path, small, zipped):
    file = zipped({"Ana GarcXYa_4711_assignsubmission_file_/small-model.ipynb": ONE})
    file.write_bytes(file.read_bytes().replace(b"GarcXYa", "García".encode()))  # as Info-ZIP writes it
    assert take(file, tmp_path / "a", small)[1] == {"Ana-García": {"small-model.ipynb": ONE}}


@pytest.mark.parametrize(
    "name, student",
    [
        (f"{MOODLE[:-1]}/small-model.ipynb", "Ana-García"),  # as newer Moodles call the folder
        (f"{MOODLE}/small-model.ipynb", "Ana-García"),
        (f"18-90 course/{MOODLE}/my work/small-model.ipynb", "Ana-García"),
        (f"{MOODLE}small-model.ipynb", "Ana-García"),
        ("garciaana_1234_98765_small-model-2.ipynb", "garciaana"),
        ("garciaana_LATE_1234_98765_small_model final.ipynb", "garciaana"),
        ("ana/18-90-small-model/small-model.ipynb", "ana"),
        ("submitted/ana/18-90-small-model/small-model.ipynb", "ana"),
        ("ana/whatever.ipynb", "ana"),
        ("ana.ipynb", "ana"),
        ("ana_small-model (1).ipynb", "ana"),
        ("José Niño.ipynb", "José-Niño"),
    ],
)
def test_a_name_says_whose_it_is_in_a_zip_and_in_a_folder(tmp_path, small, zipped, name, student):
    expected = {student: {"small-model.ipynb": ONE}}
    assert take(zipped({name: ONE}), tmp_path / "a", small)[1] == expected
    file = tmp_path / "folder" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(ONE)
    assert take(tmp_path / "folder", tmp_path / "b", small)[1] == expected


def test_nothing_is_written_outside_and_nothing_else_is_read(tmp_path, small, zipped):
    link = zipfile.ZipInfo("eva_1_2_small-model.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    files = [
        ("../../outside.ipynb", ONE),
        ("/tmp/outside.ipynb", ONE),
        ("C:\\outside.ipynb", ONE),
        ("ana/..\\..\\outside.ipynb", ONE),
        ("__MACOSX/ana/._small-model.ipynb", ONE),
        (".ipynb", ONE),
        ("small-model.ipynb", ONE),
        ("class list.csv", b"ana"),
        (link, b"/etc/passwd"),
        ("ana/small-model.ipynb", ONE),
    ]
    delivery, found = take(zipped(files), tmp_path / "class" / "root", small)
    assert found == {"ana": {"small-model.ipynb": ONE}}
    assert len(delivery.notes) == 6, delivery.notes
    assert not list(tmp_path.rglob("outside*"))


def test_a_bomb_a_damaged_and_an_encrypted_entry_cost_nobody_else_anything(tmp_path, small, zipped):
    source = zipped(
        {
            "bomb.ipynb": b"0" * (MAX_FILE + 1),
            "good.ipynb": ONE,
            "hurt.ipynb": b"x" * 1000,
            "lock.ipynb": OTHER,
        }
    )
    content = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as archive:
        start = {member.filename: member.header_offset for member in archive.infolist()}
    content[start["hurt.ipynb"] + 30 + len("hurt.ipynb")] ^= 0xFF
    directory = content.rindex(b"PK\x01\x02")  # of the last one, lock.ipynb
    content[directory + 8] |= 1
    content[start["lock.ipynb"] + 6] |= 1
    source.write_bytes(content)
    delivery, found = take(source, tmp_path, small)
    assert found == {"bomb": {}, "good": {"small-model.ipynb": ONE}, "hurt": {}, "lock": {}}
    notes = " ".join(delivery.notes)
    assert "“bomb.ipynb” is too large" in notes and "“hurt.ipynb” could not be unpacked" in notes
    assert "“lock.ipynb” could not be unpacked" in notes
    assert source.read_bytes() == content


def test_far_too_much_is_refused_before_anything_is_written(tmp_path, small, zipped, monkeypatch):
    monkeypatch.setattr("course.grade.unpack.MAX_TOTAL", 20)
    with pytest.raises(CourseError, match="far more"):
        deliver(zipped({"ana.ipynb": ONE, "eva.ipynb": OTHER}), tmp_path, small, [])
    assert not (tmp_path / "submitted").exists()


def test_what_is_neither_zip_nor_folder_is_named(tmp_path, small):
    (tmp_path / "list.csv").write_text("ana")
    with pytest.raises(CourseError, match="not a zip"):
        deliver(tmp_path / "list.csv", tmp_path, small, [])
    with pytest.raises(CourseError, match="neither a file nor a folder"):
        deliver(tmp_path / "none.zip", tmp_path, small, [])


def test_links_pipes_and_huge_files_of_a_folder_are_not_followed(tmp_path, small):
    folder = tmp_path / "folder"
    (folder / "ana").mkdir(parents=True)
    (tmp_path / "secret.ipynb").write_bytes(OTHER)
    os.symlink(tmp_path / "secret.ipynb", folder / "ana" / "small-model.ipynb")
    os.symlink(tmp_path, folder / "eva")
    os.mkfifo(folder / "leo.ipynb")
    with open(folder / "max.ipynb", "wb") as stream:
        stream.truncate(2_000_000_000)
    delivery, found = take(folder, tmp_path / "root", small)
    assert found == {"ana": {}, "leo": {}, "max": {}}
    assert "eva" in delivery.notes[0] and "too large" in " ".join(delivery.notes)


def test_one_student_twice(tmp_path, small, zipped):
    source = zipped(
        [
            ("ana/small-model.ipynb", ONE),
            ("ana/copy.ipynb", ONE),  # the same once more
            ("eva/small-model.ipynb", ONE),
            ("eva/notes.ipynb", OTHER),  # one of them is meant
            ("leo/small-model.ipynb", ONE),
            ("leo/small-model-1.ipynb", OTHER),  # nothing says which
        ]
    )
    delivery, found = take(source, tmp_path, small)
    assert found["ana"] == found["eva"] == {"small-model.ipynb": ONE}
    assert sorted(found["leo"].values()) == [ONE, OTHER] and "small-model.ipynb" not in found["leo"]
    assert [student for student in ("ana", "eva", "leo") if student in " ".join(delivery.notes)] == [
        "eva",
        "leo",
    ]


def test_two_people_of_one_name_are_two_people(tmp_path, small, zipped):
    names = [f"Ana García_{number}_assignsubmission_file_/small-model.ipynb" for number in (7, 8)]
    _, found = take(zipped({names[0]: ONE, names[1]: OTHER}), tmp_path, small)
    assert found == {
        "Ana-García-7": {"small-model.ipynb": ONE},
        "Ana-García-8": {"small-model.ipynb": OTHER},
    }


def test_a_class_list_gives_the_ids_and_holds_strangers_back(tmp_path, small, zipped):
    roster = [
        Student("agarcia", "Ana", "García"),
        Student("u77", lms="1234"),
        Student("twin1", "Eva", "Roca"),
        Student("twin2", "Eva", "Roca"),
    ]
    source = zipped(
        {
            f"{MOODLE}/small-model.ipynb": ONE,
            "someone_1234_98765_small-model.ipynb": ONE,
            "rocaeva_99_98766_small-model.ipynb": OTHER,
            "twin2.ipynb": OTHER,
            "stranger.ipynb": OTHER,
        }
    )
    delivery, found = take(source, tmp_path, small, roster)
    assert sorted(found) == ["agarcia", "twin2", "u77"]
    assert len(delivery.notes) == 2 and "stranger" in delivery.notes[1] and "rocaeva" in delivery.notes[0]


def test_an_earlier_submission_is_moved_aside_and_the_same_again_changes_nothing(tmp_path, small, zipped):
    take(zipped({"ana.ipynb": ONE}), tmp_path, small)
    again, _ = take(zipped({"ana.ipynb": ONE}), tmp_path, small)
    assert again.notes == []
    later, found = take(zipped({"ana.ipynb": OTHER}), tmp_path, small)
    assert found["ana"] == {"small-model.ipynb": OTHER} and ".earlier" in later.notes[0]
    aside = tmp_path / "submitted" / ".earlier" / "ana" / f"{small.assignment}-1" / "small-model.ipynb"
    assert aside.read_bytes() == ONE


def test_a_name_cannot_write_to_the_terminal(tmp_path, small, zipped):
    delivery, _ = take(zipped({"a/\x1b[2Jbad.ipynb": ONE, "a/worse\x07.ipynb": OTHER}), tmp_path, small)
    assert delivery.notes and not any("\x1b" in note or "\x07" in note for note in delivery.notes)


@pytest.mark.parametrize("one, other", [("ana-1", "ana1"), ("josé", "jose"), ("a.b", "ab")])
def test_ids_that_differ_in_a_mark_alone_are_two_people(tmp_path, small, zipped, one, other):
    source = zipped({f"{one}/small-model.ipynb": ONE, f"{other}/small-model.ipynb": OTHER})
    _, found = take(source, tmp_path, small, [Student(one), Student(other)])
    assert found == {one: {"small-model.ipynb": ONE}, other: {"small-model.ipynb": OTHER}}


def test_a_name_that_two_ids_could_mean_is_nobody_s(tmp_path, small, zipped):
    roster = [Student("ana-1", "Ana", "Gil"), Student("ana1", "Ana", "Roca")]
    delivery, found = take(zipped({"Ana_1.ipynb": ONE}), tmp_path, small, roster)
    assert found == {} and "Ana_1" in delivery.notes[0]


@pytest.mark.parametrize("name", [".", "XX"])
def test_a_zip_member_without_a_name_costs_nobody_anything(tmp_path, small, zipped, name):
    source = zipped({name: b"", "ana/small-model.ipynb": ONE})
    source.write_bytes(source.read_bytes().replace(b"XX", b"\0X"))  # zipfile reads names up to a zero
    assert take(source, tmp_path, small)[1] == {"ana": {"small-model.ipynb": ONE}}


def test_files_where_folders_should_be_are_moved_aside_or_left_and_named(tmp_path, small, zipped):
    (tmp_path / "submitted" / "bob").mkdir(parents=True)
    (tmp_path / "submitted" / "bob" / small.assignment).write_text("a file")
    (tmp_path / "submitted" / "carl").write_text("a file")
    delivery, found = take(zipped({"bob.ipynb": ONE, "carl.ipynb": ONE}), tmp_path, small)
    assert found == {"bob": {"small-model.ipynb": ONE}} and delivery.students == ["bob"]
    assert ".earlier" in delivery.notes[0] and "carl" in delivery.notes[1]
    assert "a link or not a folder" in delivery.notes[1]
    assert (tmp_path / "submitted" / "carl").read_text() == "a file"


def test_a_zip_that_nobody_may_read_is_named(tmp_path, small, zipped, monkeypatch):
    def refused(file):
        raise PermissionError(13, "Permission denied", str(file))

    source = zipped({"ana.ipynb": ONE})
    monkeypatch.setattr(zipfile, "ZipFile", refused)  # root may read everything
    with pytest.raises(CourseError, match="cannot be read"):
        deliver(source, tmp_path, small, [])


@pytest.fixture
def notebooks(small, built):
    """The releases, a blank notebook's bytes, and those of one in which somebody worked."""
    releases = {code: nbformat.read(small.built(code, built), as_version=4) for code in ("en", "es")}
    mine = nbformat.read(small.built("es", built), as_version=4)
    next(cell for cell in mine.cells if cell.id == "expected-loss").source = "expected_loss = math.log"
    return releases, nbformat.writes(releases["en"]).encode(), nbformat.writes(mine).encode()


def test_of_a_blank_original_and_a_worked_copy_the_copy_counts(tmp_path, small, zipped, notebooks):
    releases, blank, mine = notebooks
    source = zipped({"ana/small-model.ipynb": blank, "ana/small-model-Copy1.ipynb": mine})
    delivery = deliver(source, tmp_path, small, [], releases)
    (file,) = (tmp_path / "submitted" / "ana" / small.assignment).iterdir()
    assert file.name == "small-model.ipynb" and file.read_bytes() == mine
    assert "ana also handed in “small-model.ipynb”" in delivery.notes[0]


def test_what_cannot_be_read_does_not_take_the_place_of_work(tmp_path, small, zipped, notebooks):
    releases, blank, mine = notebooks
    for content in (blank, mine):
        deliver(zipped({"ana.ipynb": content}), tmp_path, small, [], releases)
    delivery = deliver(zipped({"ana.ipynb": b'{"cells": ['}), tmp_path, small, [], releases)
    file = tmp_path / "submitted" / "ana" / small.assignment / "small-model.ipynb"
    assert file.read_bytes() == mine and ".unreadable" in delivery.notes[0]
    aside = tmp_path / "submitted" / ".unreadable" / "ana" / f"{small.assignment}-1" / "small-model.ipynb"
    assert aside.read_bytes() == b'{"cells": ['


def test_names_that_differ_in_an_accent_are_two_people_of_the_class_list(tmp_path, small, zipped):
    roster = [Student("u2", "José", "Niño"), Student("u3", "Jose", "Nino")]
    source = zipped({"José Niño.ipynb": ONE, "Jose Nino.ipynb": OTHER})
    _, found = take(source, tmp_path, small, roster)
    assert found == {"u2": {"small-model.ipynb": ONE}, "u3": {"small-model.ipynb": OTHER}}
