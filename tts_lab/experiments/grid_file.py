"""Reading a YAML file of keys and values strictly: what YAML lets pass in silence is an error here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError


def read_mapping(path: Path) -> Mapping[str, Any]:
    """The keys and values of a file. Raises LabError, without the file's name, where it is something else."""
    import yaml

    try:
        return _mapping(yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader))
    except UnicodeDecodeError:
        raise LabError("the file is not text in UTF-8; save it as UTF-8 YAML.") from None
    except OSError as error:
        raise LabError(f"the grid cannot be read ({error.strerror}); give an existing YAML file.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise LabError(f"not valid YAML{where}; write one 'key: value' a line, and lists in brackets.") from None


def _mapping(node: Any) -> Mapping[str, Any]:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise LabError("expected lines of 'key: value', such as 'texts: [你好。]'.")
    _refuse_twice(node)
    data: Mapping[str, Any] = yaml.constructor.SafeConstructor().construct_document(node)
    return {str(key): value for key, value in data.items()}


def _refuse_twice(node: Any) -> None:
    """A later key would silently replace an earlier one of the same name, in the file and in each of its sections."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise LabError(f"line {line} has no name before its colon; write 'key: value'.")
        if key.value in seen:
            raise LabError(f"{key.value} is given twice (again in line {line}); keep one.")
        seen.add(key.value)
        _refuse_twice(value)
