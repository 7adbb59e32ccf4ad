import assert from "node:assert/strict";
import {test} from "node:test";

import {citing, conversation} from "../src/prompt.mjs";

const asked = [{role: "system", text: "Be kind."}, {role: "user", text: "When?"}];
const found = [...asked, {role: "assistant", text: ""}, {role: "tool", text: "【3:0†a.pdf】\nAt noon.\n\n【3:1†b \"c\".pdf】\nAt night."}];

test("a conversation without functions stays as it is", () => {
    assert.deepEqual(conversation(asked), asked);
    assert.equal(citing(asked), undefined);
});

test("a call is shown by an example that keeps to the function's parameters", () => {
    const parameters = {
        type: "object",
        properties: {queries: {type: "array", items: {type: "string"}}, name: {type: "string"}}
    };
    const [, example, last] = conversation(asked, {name: "f", parameters});
    const {queries: [query], name} = JSON.parse(example.text);
    assert.ok(query.length > 0 && query === name);
    assert.deepEqual(last, {role: "user", text: "When?"});
});

test("what was found stands before the question, without its marks", () => {
    const [system, user, ...others] = conversation(found);
    assert.deepEqual([system, others], [asked[0], []]);
    assert.match(user.text, /^At noon\.\n\nAt night\..*When\?$/s);
    assert.ok(!user.text.includes("【"));
});

test("an answer ends with one of the marks, each of which the grammar quotes", () => {
    const grammar = citing(found);
    assert.match(grammar, /^root ::= /);
    assert.ok(grammar.endsWith(String.raw`mark ::= "【3:0†a.pdf】" | "【3:1†b \"c\".pdf】"` + "\n"), grammar);
});
