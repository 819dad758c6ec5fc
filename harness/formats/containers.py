"""What is known of container images by their names."""

import re
from enum import Enum
from typing import Final


class Kind(Enum):
    """What an image starts where it is not told what to start."""

    SERVER = "server"
    """llama-server, as upstream's own ``server`` images do; a program named beside it is handed
    to it as an argument."""
    TOOLS = "tools"
    """``tools.sh``, as upstream's ``full`` images do."""
    LLAMA = "llama"
    """Something of llama.cpp by its name."""
    UNKNOWN = "unknown"
    OTHER = "other"
    """Certainly no llama-server."""


_OTHERS: Final = re.compile(
    r"ollama|llama-?swap|llama[._-]?cpp[._-]python|llama-?stack|llama-?index|llama-?factory|webui"
    r"|vllm|sglang|text-generation|localai|whisper|diffusion|litellm|nginx|caddy|traefik"
)


def kind_of_image(image: str) -> Kind:
    """What an image starts, by its name and tag."""
    name, _, tag = image.lower().rpartition("/")[2].partition("@")[0].partition(":")
    if _OTHERS.search(image.lower()):
        return Kind.OTHER
    if re.fullmatch(r"llama[._-]?cpp", name):
        if re.match(r"server(-|$)", tag) or tag.endswith("_server"):
            return Kind.SERVER
        if re.match(r"full(-|$)", tag) or tag.endswith("_full"):
            return Kind.TOOLS
        return Kind.OTHER if re.match(r"light(-|$)", tag) else Kind.LLAMA
    return Kind.LLAMA if re.search(r"llama", image.lower()) else Kind.UNKNOWN
