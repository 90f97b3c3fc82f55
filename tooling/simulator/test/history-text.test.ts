import { expect, test } from "vitest";
import { formatHistory, HistoryFormatError, parseHistory } from "../src/index.ts";

const GOOD = `{"model":"kv","note":"an example"}
{"e":"call","id":7,"c":3,"f":"write","k":"x","v":5,"t":10}
{"e":"call","id":8,"c":4,"f":"read","k":"x"}
{"e":"ok","id":7,"out":null,"t":12}
{"e":"ok","id":8,"out":5}
{"e":"call","id":9,"c":3,"f":"delete","k":"x"}
{"e":"info","id":9}
{"e":"call","id":10,"c":4,"f":"cas","k":"x","old":null,"v":"y"}
{"e":"fail","id":10}
{"e":"call","id":11,"c":4,"f":"add","k":"n","v":2}
`;

test("a history that is read and written again is the same text", () => {
  expect(formatHistory(parseHistory(GOOD))).toBe(GOOD);
});

test("calls and completions are joined; a call without completion is of unknown outcome", () => {
  const { model, note, operations } = parseHistory(GOOD);

  expect([model, note]).toEqual(["kv", "an example"]);
  expect(
    operations.map(({ id, outcome, out, calledAt, returnedAt }) => [id, outcome, out, calledAt, returnedAt]),
  ).toEqual([
    [7, "ok", null, 0, 2],
    [8, "ok", 5, 1, 3],
    [9, "info", null, 4, Infinity],
    [10, "fail", null, 6, 7],
    [11, "info", null, 8, Infinity],
  ]);
});

test("the first line may be left out: the model is kv then", () => {
  const { model, note } = parseHistory('{"e":"call","id":1,"c":1,"f":"read","k":"x"}');

  expect([model, note]).toEqual(["kv", undefined]);
});

test.each([
  ["list", '{"e":"call","id":1,"c":1,"f":"append","k":"x","v":"a"}', '{"e":"ok","id":1}'],
  ["list", '{"e":"call","id":1,"c":1,"f":"readall","k":"x"}', '{"e":"ok","id":1,"out":["a",1]}'],
  [
    "lock",
    '{"e":"call","id":1,"c":1,"f":"acquire","k":"x","by":"m","mode":"ex"}',
    '{"e":"ok","id":1,"out":17}',
  ],
  ["lock", '{"e":"call","id":1,"c":1,"f":"release","k":"x","by":"m"}', '{"e":"ok","id":1,"out":true}'],
])("the model %s has its own functions: %s", (model, call, end) => {
  const history = parseHistory(`{"model":"${model}"}\n${call}\n${end}\n`);

  expect(history.operations).toHaveLength(1);
});

const CALL = '{"e":"call","id":1,"c":1,"f":"read","k":"x"}';

test.each([
  ["an empty text", ""],
  ["a header alone", '{"model":"kv"}'],
  ["an unknown model", '{"model":"queue"}'],
  ["an unknown field in the header", '{"model":"kv","seed":1}'],
  ["a note that is no text", '{"model":"kv","note":1}'],
  ["a second header", `${CALL}\n{"model":"kv"}`],
  ["what is not JSON", "{"],
  ["an array", "[]"],
  ["an empty line in between", `${CALL}\n\n{"e":"ok","id":1,"out":null}`],
  ["an unknown event", '{"e":"cal","id":1,"c":1,"f":"read","k":"x"}'],
  ["an unknown field", '{"e":"call","id":1,"c":1,"f":"read","k":"x","x":1}'],
  ["an argument that the function does not take", '{"e":"call","id":1,"c":1,"f":"read","k":"x","v":1}'],
  ["a missing argument", '{"e":"call","id":1,"c":1,"f":"write","k":"x"}'],
  ["an unknown function", '{"e":"call","id":1,"c":1,"f":"increment","k":"x"}'],
  ["a function of another model", '{"e":"call","id":1,"c":1,"f":"append","k":"x","v":1}'],
  ["a function that every object has", '{"e":"call","id":1,"c":1,"f":"toString","k":"x"}'],
  ["a call without a key", '{"e":"call","id":1,"c":1,"f":"read"}'],
  ["a call without a client", '{"e":"call","id":1,"f":"read","k":"x"}'],
  ["an id that is no integer", '{"e":"call","id":1.5,"c":1,"f":"read","k":"x"}'],
  ["a second call of one id", `${CALL}\n{"e":"ok","id":1,"out":null}\n${CALL}`],
  ["two outstanding calls of one client", `${CALL}\n{"e":"call","id":2,"c":1,"f":"read","k":"y"}`],
  [
    "a call of a retired client",
    `${CALL}\n{"e":"info","id":1}\n{"e":"call","id":2,"c":1,"f":"read","k":"y"}`,
  ],
  ["a completion without a call", '{"e":"ok","id":1,"out":null}'],
  ["a second completion", `${CALL}\n{"e":"ok","id":1,"out":null}\n{"e":"ok","id":1,"out":null}`],
  ["a read that returns nothing", `${CALL}\n{"e":"ok","id":1}`],
  [
    "a write that returns something",
    '{"e":"call","id":1,"c":1,"f":"write","k":"x","v":1}\n{"e":"ok","id":1,"out":1}',
  ],
  ["an out where none belongs", `${CALL}\n{"e":"fail","id":1,"out":null}`],
  [
    "a time that goes backwards",
    '{"e":"call","id":1,"c":1,"f":"read","k":"x","t":5}\n{"e":"fail","id":1,"t":4}',
  ],
  ["a time that is no integer", '{"e":"call","id":1,"c":1,"f":"read","k":"x","t":0.5}'],
])("%s is refused", (_, text) => {
  expect(() => parseHistory(text)).toThrow(HistoryFormatError);
});

test("a refusal names the line", () => {
  expect(() => parseHistory(`{"model":"kv"}\n${CALL}\n{"e":"ok","id":9}`)).toThrow(/^line 3: .*id 9/);
});
