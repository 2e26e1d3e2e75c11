from pathlib import Path

import pytest

from pipelines.cli.main import main


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {}: No such file or directory"),
        (b"kind: ConfigMap", "{} is no compiled pipeline"),
        (b"no pipeline at all", "{} is no compiled pipeline"),
        (b"pipelineInfo: {name: p}\nroot: {dag: {}}\ndeploymentSpec: {}\n", "{} is no compiled pipeline"),
        (b"", "{} is no compiled pipeline"),
        (b"\xff\xfe\x00\x81", "{} is no compiled pipeline"),
    ],
)
def test_preflight_refuses_a_package_that_is_none_in_one_line(
    content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "package.yaml"
    if content is not None:
        package.write_bytes(content)
    assert main(["preflight", "--namespace", "team", "--package", str(package)]) == 1
    assert capsys.readouterr().err == f"error: {message.format(package)}; make it with `inventory compile`\n"
