// What a model of 135 million parameters has to be told, and held to, where functions are called.

/** A mark as passages that were found begin with it: `【4:0†name】`. */
const MARK = /【\d+:\d+†[^】]*】/gu;

const EXAMPLE = "Who wrote the Odyssey?";

/**
 * The conversation as the model's template knows it, which has no functions: `{role, text}`, role `system`, `user` or
 * `assistant`. What a function gave stands before the question that it is for.
 */
export function conversation(messages, call) {
    const asked = messages.findLast(({role}) => role === "user")?.text ?? "";
    if (call !== undefined) {
        // Told by an example what a question becomes.
        return [
            {role: "user", text: EXAMPLE},
            {role: "assistant", text: JSON.stringify(filled(call.parameters, EXAMPLE))},
            {role: "user", text: asked}
        ];
    }
    const results = messages.filter(({role}) => role === "tool").map(({text}) => text.split(MARK).map((passage) => passage.trim()).filter(Boolean).join("\n\n"));
    if (results.length === 0) return messages;
    const text = `${results.join("\n\n")}\n\nAnswer from this text, in one short sentence: ${asked}`;
    return [...messages.filter(({role}) => role === "system"), {role: "user", text}];
}

/** What a JSON schema asks for, with one text wherever it wants one. */
function filled(schema, text) {
    if (schema.type === "array") return [filled(schema.items ?? {}, text)];
    if (schema.type !== "object") return text;
    const fields = Object.entries(schema.properties ?? {});
    return Object.fromEntries(fields.map(([name, field]) => [name, filled(field, text)]));
}

/**
 * The grammar (GBNF) of an answer that cites: a sentence, then one of the marks that the model was shown. Left to itself, a
 * model this small does not keep to such a form. Undefined where there is nothing to cite.
 */
export function citing(messages) {
    const results = messages.filter(({role}) => role === "tool").flatMap(({text}) => text.match(MARK) ?? []);
    if (results.length === 0) return undefined;
    const marks = [...new Set(results)].map((mark) => JSON.stringify(mark));
    return `root ::= [A-Z0-9] [^.!?【】\\n]+ "." " " mark\nmark ::= ${marks.join(" | ")}\n`;
}
