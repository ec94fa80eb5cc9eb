"""Calls a gateway with the official OpenAI SDK, as its documentation shows. Prints "all good" at the end."""

import asyncio
import os

import openai

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
CHAT_MODEL = os.environ["CHAT_MODEL"]
EMBEDDING_MODEL = os.environ["EMBEDDING_MODEL"]
HELLO = [{"role": "user", "content": "Hello"}]
WORDS = "word0 word1 word2 "


def whole(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=CHAT_MODEL, messages=HELLO)
    assert answer.choices[0].message.content == WORDS, answer
    assert answer.choices[0].finish_reason == "stop", answer
    assert answer.model == CHAT_MODEL, answer
    assert answer.usage.total_tokens == 19, answer

    raw = client.chat.completions.with_raw_response.create(model=CHAT_MODEL, messages=HELLO)
    assert raw.headers["x-litellm-call-id"], raw.headers
    assert float(raw.headers["x-litellm-response-cost"]) > 0, raw.headers


def streamed(client: openai.OpenAI) -> None:
    text = ""
    for event in client.chat.completions.create(model=CHAT_MODEL, messages=HELLO, stream=True):
        assert event.usage is None, event
        text += event.choices[0].delta.content or ""
    assert text == WORDS, text

    asked = client.chat.completions.create(
        model=CHAT_MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    usage = [event.usage for event in asked if event.usage is not None]
    assert len(usage) == 1 and usage[0].total_tokens == 19, usage


def others(client: openai.OpenAI) -> None:
    completion = client.completions.create(model=CHAT_MODEL, prompt="Once upon a time")
    assert completion.choices[0].text == WORDS, completion

    vectors = client.embeddings.create(model=EMBEDDING_MODEL, input=["one", "two"])
    assert [vector.embedding for vector in vectors.data] == [[0.25, -0.5, 0.75, 1.0]] * 2, vectors

    names = {model.id for model in client.models.list()}
    assert {CHAT_MODEL, EMBEDDING_MODEL} <= names, names


def errors(client: openai.OpenAI) -> None:
    stranger = client.with_options(api_key="sk-nobody-knows-this-key")
    raises(openai.AuthenticationError, lambda: stranger.chat.completions.create(model=CHAT_MODEL, messages=HELLO))
    raises(openai.BadRequestError, lambda: client.chat.completions.create(model="no-such-model", messages=HELLO))
    for status, error in [(429, openai.RateLimitError), (500, openai.InternalServerError)]:
        messages = [{"role": "user", "content": f"[[fake status={status}]]"}]
        raises(error, lambda: client.chat.completions.create(model=CHAT_MODEL, messages=messages))
        raises(error, lambda: client.chat.completions.create(model=CHAT_MODEL, messages=messages, stream=True))


def raises(kind: type, call) -> None:
    try:
        call()
    except kind as error:
        assert error.code == str(error.status_code), error.body
        return
    raise AssertionError(f"no {kind.__name__}")


async def at_once() -> None:
    async with openai.AsyncOpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0) as client:
        calls = [client.chat.completions.create(model=CHAT_MODEL, messages=HELLO) for _ in range(10)]
        for answer in await asyncio.gather(*calls):
            assert answer.choices[0].message.content == WORDS, answer


def azure() -> None:
    """Clients of Azure put the model into the path and the key into a header of its own."""
    client = openai.AzureOpenAI(
        azure_endpoint=BASE_URL, api_key=API_KEY, api_version="2024-06-01", max_retries=0
    )
    answer = client.chat.completions.create(model=CHAT_MODEL, messages=HELLO)
    assert answer.choices[0].message.content == WORDS, answer


def main() -> None:
    # With and without /v1: both are in use.
    for base in (f"{BASE_URL}/v1", BASE_URL):
        client = openai.OpenAI(base_url=base, api_key=API_KEY, max_retries=0, timeout=20)
        whole(client)
        streamed(client)
        others(client)
        errors(client)
    asyncio.run(at_once())
    azure()
    print("all good")


if __name__ == "__main__":
    main()
