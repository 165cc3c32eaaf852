"""A scripted server that speaks OpenAI's protocol."""
import json

import scripted
from scripted import Answer, Request

__all__ = ["Answer", "Request", "Server", "chat", "error"]


def error(status, code=None, kind="invalid_request_error", message="no", headers=None, param=None):
    return Answer({"error": {"message": message, "type": kind, "param": param, "code": code}}, status, headers)


def chat(content, finish="stop", refusal=None, model="test-model", usage=(100, 20)):
    """A chat.completion; content: the text, or an object that becomes one."""
    text = content if isinstance(content, str) or content is None else json.dumps(content, ensure_ascii=False)
    return Answer({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1760000000, "model": model,
        "choices": [{"index": 0, "finish_reason": finish, "logprobs": None,
                     "message": {"role": "assistant", "content": text, "refusal": refusal}}],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
    })


class Server(scripted.Server):
    base = "/v1"

    @staticmethod
    def at_the_end():
        return error(500, "server_error", "server_error", "the script is at its end")
