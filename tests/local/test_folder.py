from pathlib import Path

import pytest

from deploy.local.folder import Folder, InUse


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    secret = Folder(tmp_path / "data").secret("secret")
    assert len(secret) >= 32
    assert Folder(tmp_path / "data").secret("secret") == secret
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_secret_that_others_could_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("vs_admin_x\n")
    (tmp_path / "admin.key").chmod(0o644)
    assert Folder(tmp_path).secret("admin.key") == "vs_admin_x"
    assert (tmp_path / "admin.key").stat().st_mode & 0o777 == 0o600


def test_a_secret_whose_writing_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "secret.new").write_text("")
    assert len(Folder(tmp_path).secret("secret")) >= 32
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["secret"]


def test_one_at_a_time_holds_a_folder(tmp_path: Path) -> None:
    first, second = Folder(tmp_path), Folder(tmp_path)
    assert first.hold()
    with pytest.raises(InUse, match="Voltstream runs on it already"):
        second.hold()
    first.release()
    assert second.hold()
    second.release()


def test_a_holder_that_was_killed_is_noticed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("4711")
    folder = Folder(tmp_path)
    assert not folder.hold()
    folder.release()
    assert folder.hold()
    folder.release()
