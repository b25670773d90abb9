"""An output that reads what the settings do not hold would fail every test here: it is named once for all."""

import pytest

from ff_observe.config import load_settings
from ff_observe.outputs import OUTPUTS


@pytest.fixture(scope="session", autouse=True)
def settings_hold_what_outputs_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / "etc").mkdir()
    (home / "etc" / "flowforge.yml").write_text("port: 3000\n")
    settings = load_settings(home=home, variables={})
    for output in OUTPUTS:
        missing = ""
        try:
            output.status(settings, None)
        except AttributeError as error:
            missing = f"{type(error.obj).__name__}.{error.name}"
        if missing:
            pytest.fail(
                f"the output {output.name} reads {missing}, which does not exist: declare its Key in "
                "ff_observe/config/declaration.py, and bind a field to it with `filled_by` in "
                "ff_observe/config/settings.py; a section of its own is a class there, a field of Settings, and a line "
                "in ff_observe/config/build.py that fills it",
                pytrace=False,
            )
