"""What other servers do to OpenAI's answers: a twist changes a good answer on its way out, whole or streamed."""

from collections.abc import Mapping
from typing import Final

from llm.simulator.twists.shapes import (
    AudioOnly,
    CutPairs,
    DoneOnly,
    FinishError,
    FullMessage,
    GoesOn,
    NullReason,
    Parts,
    ThinksOnly,
    ToolNoIndex,
)
from llm.simulator.twists.twist import Twist
from llm.simulator.twists.usages import (
    UsageBeside,
    UsageDeepSeek,
    UsageHalves,
    UsageInChoice,
    UsageNegative,
    UsageZeros,
)
from llm.simulator.twists.wrappings import NoBlankLine, NullEvents

# By the name that a script uses.
TWISTS: Final[Mapping[str, type[Twist]]] = {
    "audio_only": AudioOnly,
    "cut_pairs": CutPairs,
    "done_only": DoneOnly,
    "finish_error": FinishError,
    "full_message": FullMessage,
    "goes_on": GoesOn,
    "no_blank_line": NoBlankLine,
    "null_events": NullEvents,
    "null_reason": NullReason,
    "parts": Parts,
    "thinks_only": ThinksOnly,
    "tool_no_index": ToolNoIndex,
    "usage_beside": UsageBeside,
    "usage_deepseek": UsageDeepSeek,
    "usage_halves": UsageHalves,
    "usage_in_choice": UsageInChoice,
    "usage_negative": UsageNegative,
    "usage_zeros": UsageZeros,
}

__all__ = ["TWISTS", "Twist"]
