// Uses the service as a Node program does. `node talk.mjs NAME` prints the result as JSON. BASE_URL is that of the service.
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const openai = new OpenAI({ baseURL: `${process.env.BASE_URL}/v1`, apiKey: "sk-any" });
const messages = [{ role: "user", content: "Hello" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const create = (model, more = {}, options = {}) =>
  openai.chat.completions.create({ model, messages, ...more }, options);

async function failure(model, more, options) {
  try {
    await create(model, more, options);
  } catch (error) {
    return [error.constructor.name, error.status, error.code, error.requestID];
  }
}

const programs = {
  async whole() {
    const { data, response, request_id } = await create("sim-503>gpt-4o").withResponse();
    return [data.choices[0].message.content, data.model, response.headers.get("x-attempts"), request_id];
  },
  async stream() {
    let text = "";
    let usage = null;
    for await (const chunk of await create("sim-503>gpt-4o", {
      stream: true,
      stream_options: { include_usage: true },
    })) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    return [text, usage.total_tokens];
  },
  async tools() {
    const called = [];
    const weather = { name: "weather", parse: JSON.parse, function: (sent) => called.push(sent) && "sunny", parameters };
    const told = [];
    for (const stream of [false, true]) {
      const tools = [{ type: "function", function: weather }];
      told.push(await openai.chat.completions.runTools({ model: "sim-tool", messages, tools, stream }).finalContent());
    }
    return [called, told];
  },
  async parsed() {
    const response_format = zodResponseFormat(z.object({ city: z.string(), days: z.number() }), "trip");
    const completion = await openai.chat.completions.parse({ model: "gpt-4o", messages, response_format });
    return completion.choices[0].message.parsed;
  },
  async embeddings() {
    const { data } = await openai.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"] });
    return data.map(({ embedding }) => embedding.every(Number.isFinite) && embedding.length > 0);
  },
  async models() {
    const ids = [];
    for await (const model of openai.models.list()) ids.push(model.id);
    return [ids, (await openai.models.retrieve(ids[0])).id];
  },
  async errors() {
    const found = {};
    for (const model of ["sim-401", "sim-429", "sim-500", "sim-context"]) found[model] = await failure(model);
    return found;
  },
  async extras() {
    const late = await failure("sim-slow", {}, { headers: { "x-timeout": "0.2" } });
    const instead = await create("sim-500", { "x-default-message": "Later." });
    return [late, instead.choices[0].message.content];
  },
  async broken() {
    let text = "";
    try {
      for await (const chunk of await create("sim-cut", { stream: true })) text += chunk.choices[0].delta.content ?? "";
    } catch (error) {
      return [text, error.constructor.name, error.code];
    }
  },
  async responses() {
    const types = new Set();
    let final;
    for await (const event of await openai.responses.create({ model: "sim-503>gpt-4o", input: "Hello", stream: true })) {
      types.add(event.type);
      final = event.response ?? final;
    }
    const whole = await openai.responses.create({ model: "sim-503>gpt-4o", input: "Hello" });
    const text = final.output[0].content[0].text;
    return [whole.output_text, text, [...types].at(-1)];
  },
  async brokenResponse() {
    const seen = [];
    for await (const event of await openai.responses.create({ model: "sim-cut", input: "Hello", stream: true }))
      seen.push(event);
    return [seen.at(-1).type, seen.at(-1).code, seen.some(({ type }) => type === "response.completed")];
  },
  async stored() {
    const { completions } = openai.chat;
    const made = [];
    for (const job of ["1", "2"]) made.push((await create("gpt-4o", { store: true, metadata: { job } })).id);
    const listed = [];
    for await (const completion of completions.list({ limit: 1 })) listed.push(completion.id);
    const updated = await completions.update(made[0], { metadata: { job: "done" } });
    const asked = [];
    for await (const message of completions.messages.list(made[0])) asked.push(message.content);
    const deleted = (await completions.delete(made[0])).deleted;
    const gone = await completions.retrieve(made[0]).catch((error) => error.constructor.name);
    return [listed.join() === made.join(), updated.metadata, asked, deleted, gone];
  },
};

console.log(JSON.stringify(await programs[process.argv[2]]()));
